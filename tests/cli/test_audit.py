"""`histodistill audit`: every kind of bad input shows its message, all of them at once."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from tests.cli.command_line import fail, run, succeed
from tests.experiment.small import change_table, experiment_file


def slides_of(cohort: Path) -> list[Path]:
    return sorted((cohort / "features").glob("*.h5"))


def audited(cohort: Path, changes: dict | None = None) -> list[str]:
    return fail("audit", experiment_file(cohort.parent, changes))


def rewritten(path: Path, features: np.ndarray, encoder: str = "simulated") -> None:
    """A TRIDENT file with other features."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file["coords"].attrs)
        del file["features"], file["coords"]
        data = file.create_dataset("features", data=features)
        data.attrs["encoder"] = encoder
        coords = file.create_dataset("coords", data=np.zeros((len(features), 2), int))
        coords.attrs.update(attributes)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nothing_in(path: Path) -> None:
    path.write_bytes(b"")


def text_in(path: Path) -> None:
    path.write_text("a text, no features")


def pickle_in(path: Path) -> None:
    path.write_bytes(pickle.dumps([1, 2]))


def empty_bag(path: Path) -> None:
    rewritten(path, np.empty((0, 8), np.float16))


def not_a_number(path: Path) -> None:
    rewritten(path, np.full((4, 8), np.nan, np.float16))


def infinite(path: Path) -> None:
    rewritten(path, np.array([[1.0] * 8, [np.inf] * 8], np.float32))


def wide(path: Path) -> None:
    rewritten(path, np.ones((4, 9), np.float16))


def of_another_encoder(path: Path) -> None:
    rewritten(path, np.ones((4, 8), np.float16), encoder="uni_v1")


def of_the_whole_slide(path: Path) -> None:
    rewritten(path, np.ones((1, 8), np.float16))
    with h5py.File(path, "r+") as file:
        del file["features"]
        file["features"] = np.ones(8, np.float16)


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (truncated, "is truncated or damaged and cannot be read"),
        (nothing_in, "is truncated or damaged and cannot be read (it is empty, 0 bytes)"),
        (text_in, "is no feature file: it starts with b'a text, '"),
        (pickle_in, "is a Python pickle, which can run any code when it is opened"),
        (empty_bag, "is an empty bag"),
        (not_a_number, "holds NaN or infinite values in 4 of 4 patches"),
        (infinite, "holds NaN or infinite values in 1 of 2 patches"),
        (wide, "1 feature file has width 9 while 45 have 8"),
        (of_another_encoder, "1 feature file has patch encoder uni_v1 while 45 have simulated"),
        (of_the_whole_slide, "holds one vector of length 8, an embedding of the whole slide"),
    ],
)
def test_a_bad_feature_file_is_named(cohort, damage, expected):
    bad = slides_of(cohort)[3]
    damage(bad)
    (problem,) = audited(cohort)
    assert str(bad) in problem
    n_slides = len(slides_of(cohort))
    assert expected.replace("45", str(n_slides - 1)) in problem


def test_a_tensor_that_would_run_code_is_not_opened(cohort):
    class Payload:
        def __reduce__(self):
            return Path.touch, (cohort / "ran",)

    slide = slides_of(cohort)[0]
    torch.save(Payload(), slide)
    (problem,) = audited(cohort)
    assert str(slide) in problem
    assert "opening it would run code" in problem
    assert not (cohort / "ran").exists()


def drop(column: str):
    return lambda table: table.drop(columns=column)


def cell(column: str, value: str):
    """Change a column of the first patient."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(**{column: [value, *table[column][1:]]})

    return change


def doubled(table: pd.DataFrame) -> pd.DataFrame:
    """The first patient again, of the other class."""
    other = {"positive": "negative", "negative": "positive"}
    known = table[table["ER"] != ""].iloc[[0]]
    return pd.concat([table, known.assign(ER=known["ER"].map(other))])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("PATIENT"), "clinical.csv: has no column 'PATIENT'. Its columns are ER, SITE"),
        (drop("ER"), "clinical.csv: has no column 'ER'"),
        (drop("SITE"), "clinical.csv: has no column 'SITE'"),
        (drop("OS_STATUS"), "clinical.csv: has no column 'OS_STATUS'"),
        (
            cell("ER", "maybe"),
            "column 'ER' holds values that are not among the classes of target 'ER' (negative, "
            "positive): 'maybe' ({patient})",
        ),
        (cell("PATIENT", ""), "column 'PATIENT' is empty in row 1 below the header"),
        (
            cell("OS_MONTHS", "a year"),
            "holds times that are not numbers from 0 up: 'a year' ({patient})",
        ),
        (cell("OS_STATUS", "gone"), "holds events that are not understood: 'gone' ({patient})"),
        (doubled, "patients with several rows that contradict each other: "),
    ],
)
def test_a_bad_clinical_table_names_column_and_patients(cohort, change, expected):
    path = cohort / "clinical.csv"
    patient = pd.read_csv(path)["PATIENT"][0]
    change_table(path, change)
    (problem,) = audited(cohort)
    assert str(path) in problem
    assert expected.format(patient=patient) in problem


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("FILENAME"), "slides.csv: has no column 'FILENAME'"),
        (drop("PATIENT"), "slides.csv: has no column 'PATIENT'"),
        (cell("FILENAME", ""), "'PATIENT' or 'FILENAME' is empty in row 1 below the header"),
        (
            lambda table: pd.concat([table, table.iloc[[0]].assign(PATIENT="SIM-OTHER")]),
            "is listed for more than one patient",
        ),
        (
            lambda table: table.assign(FILENAME="gone-" + table["FILENAME"]),
            "none of its {n} files lies under",
        ),
        (
            lambda table: table.assign(PATIENT="X" + table["PATIENT"]),
            "no slide belongs to a patient of",
        ),
    ],
)
def test_a_bad_slide_table_is_told(cohort, change, expected):
    change_table(cohort / "slides.csv", change)
    n_slides = len(slides_of(cohort))
    (problem,) = audited(cohort)
    assert expected.format(n=n_slides) in problem


def test_slides_that_are_absent_are_a_problem_unless_they_may_be_left_out(cohort):
    gone = slides_of(cohort)[0]
    change_table(
        cohort / "slides.csv",
        lambda table: table.drop_duplicates("PATIENT"),
    )
    table = pd.read_csv(cohort / "slides.csv")
    patient = table.loc[table["FILENAME"] == gone.name, "PATIENT"].iloc[0]
    gone.unlink()
    (problem,) = audited(cohort)
    assert (
        f"1 of its files lie nowhere under {cohort / 'features'}: {gone.name} ({patient})"
        in problem
    )
    left_out = {"cohort": {"missing_slides": "leave out"}}
    result = succeed("audit", experiment_file(cohort.parent, left_out))
    note = f"Note: slides of the table absent from the folder (1): {gone.name} ({patient})"
    assert note in result.stdout
    assert "slides that belong to no known patient (" in result.stdout  # the second slides


def test_names_tell_the_patient_where_there_is_no_slide_table(cohort):
    changes = {"cohort": {"slides": None, "patient_pattern": r"^(SIM-S\d+-\d+)-"}}
    succeed("audit", experiment_file(cohort.parent, changes))
    (problem,) = audited(cohort, {"cohort": {"slides": None}})
    assert "no patient is recognised in any file name" in problem
    (problem,) = audited(cohort, {"cohort": {"slides": None, "patient_pattern": "SIM"}})
    assert "The pattern 'SIM' has no group" in problem


def genes(table: pd.DataFrame) -> str:
    return table.to_csv(sep="\t", index=False)


def value(text: str):
    def change(table: pd.DataFrame) -> str:
        table.iloc[0, 2] = text
        return genes(table)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda table: "", "mrna_zscores.txt"),
        (lambda table: "no table at all", "mrna_zscores.txt"),
        (value("high"), "high"),
        (value("inf"), "values are infinite"),
        (
            lambda table: genes(table.rename(columns=lambda name: name.replace("SIM-", "X-"))),
            "no sample belongs to a patient of",
        ),
        (lambda table: genes(table.iloc[:, :2]), "mrna_zscores.txt"),
        (lambda table: genes(table.assign(Hugo_Symbol="")), "holds no gene with a symbol"),
    ],
)
def test_a_bad_genomic_matrix_is_told(cohort, change, expected):
    path = cohort / "mrna_zscores.txt"
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    path.write_text(change(table))
    (problem,) = audited(cohort)
    assert str(path) in problem
    assert expected in problem


def test_a_transform_that_the_values_forbid(cohort):
    (problem,) = audited(cohort, {"genomics": {"mrna": {"transform": "log2p1"}}})
    assert "log2(x + 1) needs values of 0 or more" in problem


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"cohort": {"clinical": "none.csv"}}, "none.csv: there is no such file"),
        ({"cohort": {"slides": "none.csv"}}, "none.csv: there is no such file"),
        ({"features": {"directory": "none"}}, "none: there is no such folder of patch features"),
        ({"genomics": {"mrna": {"file": "none.txt"}}}, "none.txt"),
        ({"splits": {"scheme": "files", "directory": "none"}}, "holds no fold files splits_0.csv"),
        (
            {"splits": {"folds": 30}},
            "Class 'negative' has 13 patients, too few for 30 folds",
        ),
        (
            {"splits": {"scheme": "site", "folds": 5}},
            "5 site-preserved folds need at least 5 sites",
        ),
        (
            {"splits": {"scheme": "external", "external_sites": ["X"]}},
            "splits.external_sites: no labelled patient comes from X",
        ),
        ({"colour": 1}, "experiment.yaml: colour: unknown key"),
    ],
)
def test_what_is_not_there_and_what_cannot_be(cohort, changes, expected):
    problems = audited(cohort, changes)
    assert any(expected in problem for problem in problems), problems


def test_several_problems_are_all_told_and_counted(cohort):
    slides = slides_of(cohort)
    truncated(slides[0])
    nothing_in(slides[1])
    wide(slides[2])
    change_table(cohort / "clinical.csv", lambda table: cell("ER", "maybe")(drop("SITE")(table)))
    (cohort / "mrna_zscores.txt").write_text("")
    result = run("audit", experiment_file(cohort.parent))
    assert result.exit_code == 1
    problems = result.stderr.splitlines()
    told = "\n".join(problems)
    for what in (slides[0].name, slides[1].name, slides[2].name, "SITE", "maybe", "mrna_zscores"):
        assert what in told
    assert f"{len(problems)} problems: training could not be trusted." in result.stdout


def test_values_that_are_not_finite_are_found_in_every_file_at_once(cohort):
    for slide in slides_of(cohort)[:3]:
        not_a_number(slide)
    problems = audited(cohort)
    for slide, problem in zip(slides_of(cohort)[:3], problems, strict=True):
        assert slide.name in problem


def test_a_good_cohort_is_counted_by_target_class_modality_and_site(cohort):
    result = succeed("audit", experiment_file(cohort.parent))
    assert "No problem found." in result.stdout
    assert result.stderr == ""
    folder = cohort.parent / "results" / "audit"
    counts = pd.read_csv(folder / "counts.csv")
    assert list(counts) == ["target", "class", "modality", "site", "patients"]
    assert counts["patients"].sum() == 40
    assert set(counts["class"]) == {"negative", "positive", "unknown"}
    assert set(counts["site"]) == {"S01", "S02", "S03", "S04"}
    excluded = pd.read_csv(folder / "excluded.csv")
    assert list(excluded) == ["PATIENT", "target", "reason", "teaches"]
    assert excluded["teaches"].isna().all()
    assert len(excluded) == counts.loc[counts["class"] == "unknown", "patients"].sum()
    assert not excluded["PATIENT"].duplicated().any()
    folds = pd.read_csv(folder / "folds.csv")
    assert set(folds["part"]) == {"train", "validation", "test"}
    elsewhere = cohort.parent / "elsewhere"
    succeed("audit", experiment_file(cohort.parent), "--out", elsewhere)
    assert (elsewhere / "counts.csv").read_bytes() == (folder / "counts.csv").read_bytes()


def test_who_teaches_without_a_label_is_told(cohort):
    methods = {
        "abmil": {"training": {"unlabelled": True}},
        "mkd": {"training": {"unlabelled": True}},
        "programmes": {"network": {"programmes": 2}},
    }
    result = succeed("audit", experiment_file(cohort.parent, {"methods": methods}))
    labels = pd.read_csv(cohort / "clinical.csv").set_index("PATIENT")["ER"]
    unknown = set(labels.index[labels.isna()])
    measured = set(pd.read_csv(cohort / "mrna_zscores.txt", sep="\t").columns)
    paired = unknown & measured
    excluded = pd.read_csv(cohort.parent / "results/audit/excluded.csv", keep_default_na=False)
    teaches = excluded.set_index("PATIENT")["teaches"].to_dict()
    assert teaches == {p: "mkd, programmes" if p in paired else "" for p in unknown}
    told = " ".join(result.stdout.split())
    silent = f"; {len(unknown - paired)} teach nothing" if unknown - paired else ""
    assert (
        f"target ER: {len(unknown)} patients have no class and are neither tested nor counted in "
        f"any result; {len(paired)} teach terms of the loss that need no class "
        f"(`unlabelled: true`) to mkd; {len(paired)} teach what slides show of gene expression "
        f"to programmes{silent}"
    ) in told


def test_patients_of_a_hospital_that_is_kept_apart_teach_nobody(cohort):
    changes = {
        "methods": {"programmes": {"network": {"programmes": 2}}},
        "splits": {"scheme": "external", "external_sites": ["S01"]},
    }
    table = pd.read_csv(cohort / "clinical.csv").set_index("PATIENT")
    change_table(
        cohort / "clinical.csv",
        lambda t: t.assign(ER=["" if i % 4 == 0 else v for i, v in enumerate(t["ER"])]),
    )
    succeed("audit", experiment_file(cohort.parent, changes))
    excluded = pd.read_csv(cohort.parent / "results/audit/excluded.csv", keep_default_na=False)
    sites = table.loc[excluded["PATIENT"], "SITE"].to_numpy()
    assert "S01" in sites
    assert (excluded.loc[sites == "S01", "teaches"] == "").all()
    assert (excluded.loc[sites != "S01", "teaches"] == "programmes").any()


def test_what_is_wrong_with_many_files_alike_is_one_sentence(cohort):
    for slide in slides_of(cohort):
        of_the_whole_slide(slide)
    (problem,) = audited(cohort)
    assert f"each of {len(slides_of(cohort))} files (" in problem
    assert "holds one vector of length 8, an embedding of the whole slide" in problem


def test_several_targets_have_readable_tables_of_whole_numbers(cohort, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    grades = ["low grade", "middle grade", "high grade"]
    change_table(
        cohort / "clinical.csv",
        lambda table: table.assign(GRADE=[grades[row % 3] for row in range(len(table))]),
    )
    result = succeed(
        "audit", experiment_file(cohort.parent, {"targets": {"GRADE": {"classes": grades}}})
    )
    tables = result.stdout[result.stdout.index("Folds of ER") :]
    assert "Folds of GRADE" in tables
    assert not re.search(r"\d\.\d|nan|<NA>", tables[: tables.index("Tables: ")])
    folds = pd.read_csv(cohort.parent / "results" / "audit" / "folds.csv", dtype=str)
    assert folds.loc[folds["target"] == "ER", "low grade"].isna().all()
    assert folds.loc[folds["target"] == "GRADE", "low grade"].str.isdigit().all()


@pytest.mark.shared
def test_the_real_cohort_is_audited_whole(tcga, tmp_path):
    targets = {
        t: {"classes": ["negative", "positive"], "positive": "positive"} for t in ("ER", "HER2")
    }
    path = experiment_file(
        tmp_path,
        {
            "simulated": False,
            "cohort": {"clinical": str(tcga / "clinical.csv"), "slides": str(tcga / "slides.csv")},
            "features": {"directory": str(tcga / "features")},
            "genomics": {
                "mrna": {"file": str(tcga / "mrna_zscores.txt.gz"), "selection": {"method": "cox"}},
                "cna": {"file": str(tcga / "cna_gistic.txt.gz")},
            },
            "targets": targets,
            "splits": {
                "scheme": "files",
                "directory": str(tcga / "folds" / "{target}"),
                "folds": 5,
            },
        },
    )
    succeed("audit", path)
    counts = pd.read_csv(tmp_path / "results" / "audit" / "counts.csv")
    by_class = counts.groupby(["target", "class"])["patients"].sum()
    assert by_class["ER", "positive"] == 361
    assert by_class["ER", "negative"] == 99
    assert by_class["HER2", "positive"] == 60
    assert by_class["HER2", "negative"] == 396
    alone = counts[(counts["target"] == "ER") & (counts["modality"] == "slides alone")]
    assert alone["patients"].sum() == 12
    assert counts.loc[counts["target"] == "ER", "patients"].sum() == 615


def test_follow_up_that_selects_no_gene_is_told(cohort):
    survival = {"time": "OS_MONTHS", "event": "OS_STATUS"}
    changes: dict[str, Any] = {"cohort": {"survival": survival}}
    changes["genomics"] = {"mrna": {"selection": {"method": "variance"}}}
    said = succeed("audit", experiment_file(cohort.parent, changes)).stdout
    assert "Note: cohort.survival: no block of genes is selected by `cox`" in said
    changes["genomics"] = {"mrna": {"selection": {"method": "cox"}}}
    assert "cohort.survival" not in succeed("audit", experiment_file(cohort.parent, changes)).stdout


def test_a_patient_in_another_spelling_is_told(cohort):
    def first_in_lower_case(table: pd.DataFrame) -> pd.DataFrame:
        first = table["PATIENT"] == table["PATIENT"].iloc[0]
        return table.assign(PATIENT=table["PATIENT"].mask(first, table["PATIENT"].str.lower()))

    change_table(cohort / "slides.csv", first_in_lower_case)
    name = pd.read_csv(cohort / "slides.csv")["PATIENT"].iloc[0]
    said = run("audit", experiment_file(cohort.parent)).output
    assert "1 patients with slides or genomics may be in the clinical table in another" in said
    assert f"{name} ({name.upper()}); spell them alike" in said
