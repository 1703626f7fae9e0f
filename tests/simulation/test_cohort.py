"""A simulated cohort lies on disk as real ones do, complete and the same for the same seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.simulation import (
    SimulatedCohort,
    SimulationSettings,
    best_aucs,
    draw_truth,
    read_settings,
    simulate_cohort,
)

SMALL = SimulationSettings(seed=3, n_patients=30, n_genes=40, width=16, max_patches=80)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> SimulatedCohort:
    return simulate_cohort(tmp_path_factory.mktemp("small"), SMALL)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_settings_give_the_same_bytes(cohort: SimulatedCohort, tmp_path: Path) -> None:
    again = simulate_cohort(tmp_path / "elsewhere", SMALL)
    assert contents(again.folder) == contents(cohort.folder)


def test_another_seed_changes_every_data_file(cohort: SimulatedCohort, tmp_path: Path) -> None:
    other = contents(simulate_cohort(tmp_path, replace(SMALL, seed=4)).folder)
    for name, content in contents(cohort.folder).items():
        assert other.get(name) != content, name


def test_a_second_run_in_the_same_folder_leaves_nothing_else(
    cohort: SimulatedCohort, tmp_path: Path
) -> None:
    simulate_cohort(tmp_path, SMALL)
    simulate_cohort(tmp_path, SMALL)
    assert contents(tmp_path) == contents(cohort.folder)


def test_signal_settings_change_labels_but_neither_slides_nor_genes(
    cohort: SimulatedCohort, tmp_path: Path
) -> None:
    other = contents(simulate_cohort(tmp_path, replace(SMALL, shared_signal=0.0)).folder)
    changed = {name for name, content in contents(cohort.folder).items() if other[name] != content}
    assert changed == {"clinical.csv", "truth.csv", "README.txt"}


def test_features_have_the_trident_layout(cohort: SimulatedCohort) -> None:
    slides = pd.read_csv(cohort.slides_table)
    assert {path.name for path in cohort.features.iterdir()} == set(slides["FILENAME"])
    for name in slides["FILENAME"]:
        with h5py.File(cohort.features / name) as file:
            features, coords = file["features"], file["coords"]
            count, width = features.shape
            assert width == SMALL.width
            assert SMALL.min_patches <= count <= SMALL.max_patches
            assert features.dtype == np.float16
            assert features.chunks is None
            assert np.isfinite(features[:]).all()
            assert coords.shape == (count, 2)
            assert coords.dtype == np.int64
            assert coords.attrs["patch_size_level0"] == 512
            assert coords.attrs["patch_size"] == 256
            assert (coords[:] % 512 == 0).all()
            assert (coords[:] >= 0).all()
            assert len(np.unique(coords[:], axis=0)) == count
            assert features.attrs["name"] == Path(name).stem


def test_everything_is_called_simulated(cohort: SimulatedCohort) -> None:
    slides, clinical = pd.read_csv(cohort.slides_table), pd.read_csv(cohort.clinical_table)
    for table in (slides, clinical):
        assert (table["SIMULATED"] == "yes").all()
        assert table["PATIENT"].str.fullmatch(r"SIM-S0[1-5]-\d{4}").all()
    assert slides["FILENAME"].str.contains("simulated").all()
    assert (cohort.folder / "README.txt").read_text().startswith("SIMULATED DATA. No patient")


def test_clinical_table(cohort: SimulatedCohort) -> None:
    clinical = pd.read_csv(cohort.clinical_table, keep_default_na=False)
    assert list(clinical.columns) == [
        "PATIENT",
        "ER",
        "SITE",
        "AGE",
        "OS_MONTHS",
        "OS_STATUS",
        "SIMULATED",
    ]
    assert len(clinical) == clinical["PATIENT"].nunique() == SMALL.n_patients
    assert (clinical["SITE"] == clinical["PATIENT"].str.split("-").str[1]).all()
    assert set(clinical["ER"]) == {"positive", "negative", ""}
    assert (clinical["ER"] == "").sum() == 12
    assert set(clinical["OS_STATUS"]) == {"1:DECEASED", "0:LIVING"}
    assert (clinical["OS_MONTHS"] >= 0).all()


def test_known_labels_are_those_of_the_truth(cohort: SimulatedCohort) -> None:
    clinical, truth = pd.read_csv(cohort.clinical_table), pd.read_csv(cohort.truth)
    known = clinical["ER"].notna()
    assert (known == truth["HAS_LABEL"]).all()
    assert (clinical.loc[known, "ER"] == truth.loc[known, "ER"]).all()


def test_expression_has_the_cbioportal_layout(cohort: SimulatedCohort) -> None:
    expression = pd.read_csv(cohort.expression, sep="\t", index_col="Hugo_Symbol")
    truth = pd.read_csv(cohort.truth)
    assert expression.columns[0] == "Entrez_Gene_Id"
    measured = expression.drop(columns="Entrez_Gene_Id")
    assert list(measured.columns) == list(truth.loc[truth["HAS_GENOMICS"], "PATIENT"])
    assert measured.shape == (SMALL.n_genes, 27)
    assert list(measured.index[:2]) == ["SIMG0001", "SIMG0002"]
    assert np.isfinite(measured.to_numpy()).all()


def test_shares_are_met_exactly(cohort: SimulatedCohort) -> None:
    truth, slides = pd.read_csv(cohort.truth), pd.read_csv(cohort.slides_table)
    # 10 %, 40 % and 15 % of 30 patients; Python rounds 4.5 to the even number.
    assert (~truth["HAS_GENOMICS"]).sum() == 3
    assert (~truth["HAS_LABEL"]).sum() == 12
    assert (slides["PATIENT"].value_counts() == 2).sum() == 4
    assert set(slides["PATIENT"]) == set(truth["PATIENT"])


def test_slides_of_another_cohort_are_refused(tmp_path: Path) -> None:
    simulate_cohort(tmp_path, SMALL)
    with pytest.raises(
        InputError, match=r"features holds files of another cohort \(SIM-.*give .* empty folder"
    ):
        simulate_cohort(tmp_path, replace(SMALL, n_patients=20))


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(InputError) as caught:
        SimulationSettings(
            n_patients=1,
            share_without_label=1.5,
            tumour_share=0.0,
            gene_noise=-1.0,
            min_patches=20,
            max_patches=10,
            shared_signal=0.0,
            genomic_signal=0.0,
            label_noise=0.0,
        )
    assert caught.value.problems == (
        "The simulation setting n_patients is 1; give at least 2.",
        "The simulation setting share_without_label is 1.5; give a number from 0 to 1.",
        "The simulation setting tumour_share is 0.0; give a number between 0 and 1, both excluded.",
        "The simulation setting gene_noise is -1.0; give a number that is not negative.",
        "The simulation setting max_patches is 10; give at least min_patches, which is 20.",
        "The simulated label has no source: give a value other than 0 to "
        "shared_signal, genomic_signal or label_noise.",
    )


def test_settings_come_from_a_file_and_unknown_ones_are_named(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("n_patients: 30\nwidth: 5\n")
    assert read_settings(path, {"seed": 3}) == SimulationSettings(seed=3, n_patients=30, width=5)
    assert read_settings(None, {}) == SimulationSettings()
    path.write_text("widht: 5\nn_genes: many\nconfounder: {shft: 2}\nhospitals: 3\n")
    with pytest.raises(InputError) as caught:
        read_settings(path, {})
    told = "\n".join(caught.value.problems)
    assert f"{path}: widht: unknown key; did you mean width?" in told
    assert f"{path}: n_genes: must be a valid integer, not 'many'" in told
    assert f"{path}: confounder.shft: unknown key; did you mean shift?" in told
    assert f"{path}: hospitals: unknown key; known are seed, n_patients" in told
    path.write_text("width: [\n")
    with pytest.raises(InputError, match=r"cannot be read as YAML: line 2, column 1: [^\n]+$"):
        read_settings(path, {})
    path.write_text("width: 1\n")
    with pytest.raises(InputError, match="width is 1; give at least 2"):
        read_settings(path, {})


def test_the_readme_says_what_can_be_reached(tmp_path):
    settings = SimulationSettings(n_patients=40, n_genes=16, width=4, max_patches=60)
    simulate_cohort(tmp_path, settings)
    told = str(best_aucs(settings, draw_truth(settings)))
    assert "Best possible AUC of ER" in told
    assert told in (tmp_path / "README.txt").read_text()
