"""A cohort of real tiles lies on disk as real ones do, with its folds, experiment and truth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from histodistill import audit, read_experiment
from histodistill.errors import InputError
from histodistill.evaluation import roc_auc
from histodistill.simulation.tiles import TileCohort
from histodistill.simulation.tiles.stain import hospital_stains, restain
from tests.simulation.tiles.small import SETTINGS, small_cohort


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> TileCohort:
    return small_cohort(tmp_path_factory.mktemp("tiles"))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_settings_and_tiles_give_the_same_bytes(cohort: TileCohort, tmp_path: Path) -> None:
    assert contents(small_cohort(tmp_path).folder) == contents(cohort.folder)


def test_signal_settings_change_labels_but_neither_slides_nor_genes(
    cohort: TileCohort, tmp_path: Path
) -> None:
    other = contents(small_cohort(tmp_path, replace(SETTINGS, shared_signal=0.0)).folder)
    changed = {name for name, content in contents(cohort.folder).items() if other[name] != content}
    assert changed == {"clinical.csv", "truth.csv", "README.txt"}


def test_the_experiment_beside_it_has_no_problem(cohort: TileCohort) -> None:
    found = audit(read_experiment(cohort.experiment))
    assert not found.problems


def test_truth_names_tissue_and_tile_of_every_patch(cohort: TileCohort) -> None:
    truth = pd.read_csv(cohort.patch_truth)
    patients = pd.read_csv(cohort.truth).set_index("PATIENT")
    slides = pd.read_csv(cohort.slides_table)
    assert list(truth["SLIDE"].unique()) == [name[:-3] for name in slides["FILENAME"]]
    for patient, name in zip(slides["PATIENT"], slides["FILENAME"], strict=True):
        own = truth[truth["SLIDE"] == name[:-3]]
        with h5py.File(cohort.features / name) as file:
            np.testing.assert_array_equal(file["coords"][:], own[["X", "Y"]])
            assert file["features"].shape == (40, 6)
            assert file["features"].attrs["encoder"] == "colours"
            assert file["coords"].attrs["patch_size_level0"] == 16
            assert file["coords"].attrs["level0_magnification"] == 40
        assert (own["TILE"].str.split("/").str[0] == own["TISSUE"]).all()
        assert ((own["SIGNAL"] == "yes") == (own["TISSUE"] == "tumour")).all()
        assert patients.loc[patient, "RARE_PATCHES"] == (own["TISSUE"] == "giant").sum()
        assert patients.loc[patient, "COMMON_PATCHES"] == (own["TISSUE"] == "tumour").sum()


def test_no_tile_is_in_slides_of_two_parts(cohort: TileCohort) -> None:
    truth = pd.read_csv(cohort.patch_truth)
    part = pd.read_csv(cohort.truth).set_index("PATIENT")["PART"]
    truth["PART"] = truth["SLIDE"].str[:12].map(part)
    assert truth["PART"].notna().all()
    assert not truth[["TILE", "PART"]].drop_duplicates()["TILE"].duplicated().any()


def test_the_readme_says_what_counting_reaches(cohort: TileCohort) -> None:
    text = (cohort.folder / "README.txt").read_text()
    truth = pd.read_csv(cohort.truth)
    own = truth[truth["HAS_LABEL"]]
    for name in ("COMMON_PATCHES", "RARE_PATCHES"):
        assert f"{roc_auc(own['ER'] == 'positive', own[name].to_numpy()):.3f}" in text
    assert cohort.best in text
    assert text.startswith("SIMULATED PATIENTS OF REAL TILES")


def test_mosaics_show_the_tiles_where_the_features_say(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    pytest.importorskip("imagecodecs")
    settings = replace(SETTINGS, n_patients=20, stain_shift=0.2)
    cohort = small_cohort(tmp_path, settings, mosaics=2)
    slides = pd.read_csv(cohort.slides_table)
    names = [Path(name).stem for name in slides["FILENAME"][:2]]
    assert sorted(path.stem for path in cohort.slides.iterdir()) == sorted(names)
    truth = pd.read_csv(cohort.patch_truth)
    stains = hospital_stains(settings.n_sites, settings.stain_shift)
    for name in names:
        image = tifffile.imread(cohort.slides / f"{name}.tif", key=0)
        stain = stains[int(name[5:7]) - 1]
        own = truth.loc[truth["SLIDE"] == name, ["X", "Y", "TILE"]]
        for x, y, tile in own.itertuples(index=False, name=None):
            expected = stained_mean(tmp_path / "tiles" / str(tile), stain)
            seen = image[y : y + 16, x : x + 16].mean((0, 1))
            np.testing.assert_allclose(seen, expected, atol=12)


def stained_mean(path: Path, stain: np.ndarray | None) -> np.ndarray:
    """The mean colour of a tile as a hospital stains it."""
    from PIL import Image

    mean: np.ndarray = restain(np.asarray(Image.open(path)), stain).mean((0, 1))
    return mean


def test_another_cohort_is_not_written_over(cohort: TileCohort) -> None:
    with pytest.raises(InputError, match="holds files of another cohort"):
        small_cohort(cohort.folder.parent, replace(SETTINGS, seed=9))
