"""Genomic blocks from the command line: what does not fit is refused before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, change_table, experiment_file

COMMANDS = ("audit", "crossval", "suite", "train", "ablate")
ONE_METHOD = {"methods": {"abmil": None, "mkd": {"network": NETWORK}}, "baselines": []}


def words(command: str, path: Path) -> tuple[object, ...]:
    out = ("--out", path.parent / "bundle", "--method", "mkd") if command == "train" else ()
    return command, path, *out


def block(**changes: Any) -> dict[str, Any]:
    return {"genomics": {"mrna": changes}}


def matrix(cohort: Path) -> pd.DataFrame:
    return pd.read_csv(cohort / "mrna_zscores.txt", sep="\t", keep_default_na=False)


def samples(table: pd.DataFrame) -> list[str]:
    return [name for name in table.columns if name.startswith("SIM-")]


def write_raw(cohort: Path, path: Path) -> None:
    """The cohort's z-scores as abundances."""
    table = matrix(cohort)
    names = samples(table)
    z = table[names].apply(pd.to_numeric).to_numpy()
    centre = np.linspace(5, 13, len(table))[:, None]
    table[names] = (2 ** (1.5 * z + centre)).round(1)
    table.to_csv(path, sep="\t", index=False)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            block(selection={"exclude": ["SIMG0001", "simg0002", "ERBB2"]}),
            [
                "genomics.mrna: `exclude` names a gene that is not excluded: simg0002 is not in "
                "the table, which has SIMG0002; write it as the table does",
                "genomics.mrna: `exclude` names a gene that is not excluded: ERBB2 is not in the "
                "table; take it off the list",
            ],
        ),
        (
            block(selection={"method": "list", "genes": ["SIMG0001", "ERBB2"]}),
            [
                "genomics.mrna: `genes` names a gene that cannot be read: ERBB2 is not in the "
                "table; take it off the list"
            ],
        ),
        ({"genes": ["ERBB2"]}, ["genes: ERBB2 is not in the table; take it off the list"]),
        (
            {"splits": {"folds": 30}},
            [
                f"target ER: Class '{name}' has {count} patients, too few for 30 folds"
                for name, count in (("negative", 13), ("positive", 23))
            ],
        ),
    ],
)
def test_training_refuses_what_the_audit_refuses(cohort, command, changes, expected):
    problems = fail(*words(command, experiment_file(cohort.parent, changes)))
    for problem, start in zip(problems, expected, strict=True):
        assert problem.startswith(start)
    results = cohort.parent / "results"
    assert not list(results.rglob("curves*"))
    assert not list(results.rglob("*.safetensors"))
    assert not (cohort.parent / "bundle").exists()


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("patient_column", "CASE", "mrna_zscores.txt has cBioPortal's layout (genes x samples)"),
        ("gdc_column", "unstranded", "mrna_zscores.txt has cBioPortal's layout (genes x samples)"),
    ],
)
def test_settings_that_the_layout_does_not_use_are_named(cohort, setting, value, why):
    (problem,) = fail("audit", experiment_file(cohort.parent, block(**{setting: value})))
    assert problem.startswith(f"genomics.mrna: `{setting}` is not used: ")
    assert problem.endswith(f"{why}; leave it out")


def test_a_sample_pattern_that_barcodes_leave_no_use_for_is_named(tmp_path):
    patients = [f"TCGA-A1-A{i:03}" for i in range(20)]
    values = np.random.default_rng(0).normal(size=(8, 20))
    index = pd.Index([f"G{i}" for i in range(8)], name="sample")
    pd.DataFrame(values, index, [f"{p}-01" for p in patients]).to_csv(tmp_path / "g.txt", sep="\t")
    labels = pd.DataFrame({"PATIENT": patients, "ER": ["negative", "positive"] * 10})
    labels.to_csv(tmp_path / "c.csv", index=False)
    changes: dict[str, Any] = {
        "cohort": {"clinical": "c.csv", "slides": None, "survival": None, "site_column": None},
        "features": None,
        "genomics": {
            "mrna": {
                "file": "g.txt",
                "sample_pattern": "(TCGA.*)-01",
                "selection": {"n_genes": 8},
            }
        },
        "methods": {"abmil": None, "mkd": None, "snn": {}},
    }
    (problem,) = fail("audit", experiment_file(tmp_path, changes))
    assert "`sample_pattern` is not used: every sample of " in problem


@pytest.mark.parametrize("given", ["xena", "plain", "h5ad", "gct"])
def test_a_format_that_the_file_contradicts_is_named(cohort, given):
    (problem,) = fail("audit", experiment_file(cohort.parent, block(format=given)))
    assert str(cohort / "mrna_zscores.txt") in problem
    assert f"the format '{given}'" in problem


def test_genes_without_the_method_that_reads_them_are_named(cohort):
    path = experiment_file(cohort.parent, block(selection={"genes": ["SIMG0001"]}))
    (problem,) = fail("audit", path)
    assert "`genes` are read by `method: list` alone" in problem


@pytest.mark.parametrize("command", ["audit", "crossval"])
def test_raw_values_need_logarithms_unless_the_user_wants_no_check(cohort, command):
    write_raw(cohort, cohort / "mrna_zscores.txt")
    (problem,) = fail(*words(command, experiment_file(cohort.parent)))
    assert "the values are raw counts, TPM or RSEM" in problem
    assert "`transform: log2p1`" in problem
    succeed("audit", experiment_file(cohort.parent, block(transform="log2p1")))
    told = succeed("audit", experiment_file(cohort.parent, block(check_scale=False))).stdout
    assert "Note: " in told
    assert "the values are raw counts, TPM or RSEM" in told


@pytest.fixture(scope="module")
def bundle(template, tmp_path_factory) -> Path:
    """A model trained on z-scores."""
    folder: Path = tmp_path_factory.mktemp("genomics")
    (folder / "cohort").symlink_to(template)
    succeed(*words("train", experiment_file(folder, ONE_METHOD)))
    return folder / "bundle"


def test_raw_counts_are_refused_by_a_model_of_z_scores(bundle, template, tmp_path):
    write_raw(template, tmp_path / "raw.txt")
    given = ("predict", bundle, "--genomics", f"mrna={tmp_path / 'raw.txt'}")
    (problem,) = fail(*given, "--out", tmp_path / "p.csv")
    assert "block mrna: the values of all " in problem
    assert "standard deviations in the median gene" in problem
    assert "They look like raw counts, TPM or RSEM, training like z-scores" in problem
    assert not (tmp_path / "p.csv").exists()
    told = succeed(*given, "--out", tmp_path / "p.csv", "--no-check-scale").stdout
    assert "standard deviations in the median gene" in told
    assert pd.read_csv(tmp_path / "p.csv")["genomic"].notna().all()


def test_the_same_quantity_is_answered_without_a_word_on_its_scale(bundle, template, tmp_path):
    given = ("predict", bundle, "--genomics", f"mrna={template / 'mrna_zscores.txt'}")
    told = succeed(*given, "--out", tmp_path / "p.csv").stdout
    assert "standard deviations" not in told


def test_an_h5ad_whose_genes_are_numbers_is_refused(cohort):
    table = matrix(cohort)
    names = samples(table)
    values = table[names].apply(pd.to_numeric).to_numpy(np.float32).T
    genes = pd.DataFrame(index=[str(i) for i in range(len(table))])
    anndata.AnnData(values, pd.DataFrame(index=names), genes).write_h5ad(cohort / "x.h5ad")
    path = experiment_file(cohort.parent, block(file="cohort/x.h5ad"))
    (problem,) = fail("audit", path)
    assert "genes are numbered (0 to 47) and not named" in problem
    assert "adata.var_names = " in problem


def renamed(cohort: Path, *names: str) -> None:
    table = matrix(cohort)
    table.loc[table.index[: len(names)], "Hugo_Symbol"] = names
    table.to_csv(cohort / "mrna_zscores.txt", sep="\t", index=False)


def test_dates_and_missing_symbols_are_told_and_left_out(cohort):
    renamed(cohort, "1-Mar", "2-Sep", "NA", "")
    told = " ".join(succeed("audit", experiment_file(cohort.parent)).stdout.split())
    assert "2 genes are named by dates and were left out: 1-Mar, 2-Sep" in told
    assert "4 rows without a gene symbol were left out." in told


def without_slides(table: pd.DataFrame) -> pd.DataFrame:
    patients = sorted(set(table["PATIENT"]))
    return table[~table["PATIENT"].isin(patients[:6])]


def test_patients_with_genes_alone_are_told_and_counted_in_the_folds(cohort, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    change_table(cohort / "slides.csv", without_slides)
    told = succeed("audit", experiment_file(cohort.parent)).stdout
    assert "patients have genomics and no slides (" in told
    assert "they are divided into folds like all others" in " ".join(told.split())
    table = told[told.index("Folds of ER by modality") : told.index("Note: ")].splitlines()
    columns = "repeat fold part slides and genomics slides alone genomics alone"
    assert " ".join(table[1].split()) == columns
    assert max(map(len, table)) <= 80
    modalities = pd.read_csv(cohort.parent / "results" / "audit" / "modalities.csv")
    folds = pd.read_csv(cohort.parent / "results" / "audit" / "folds.csv")
    counts = modalities[["slides and genomics", "slides alone", "genomics alone"]]
    assert (counts.sum(axis=1) == folds["patients"]).all()
    assert (counts["genomics alone"] > 0).any()


def test_patients_who_all_have_both_need_no_second_table(cohort):
    table = matrix(cohort)
    complete: Callable[[pd.DataFrame], pd.DataFrame] = lambda clinical: clinical[  # noqa: E731
        clinical["PATIENT"].map(lambda patient: any(patient in s for s in samples(table)))
    ]
    change_table(cohort / "clinical.csv", complete)
    assert "by modality" not in succeed("audit", experiment_file(cohort.parent)).stdout
