"""One student for several targets, from the experiment to the answers of one folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, change_table, experiment_file

GRADES = ("low", "middle", "high")
TARGETS = {
    "PR": {"classes": ["negative", "positive"], "positive": "positive"},
    "GRADE": {"classes": list(GRADES), "ordered": True},
}


@pytest.fixture(scope="module")
def job(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort with three targets, and the model of all."""
    folder = tmp_path_factory.mktemp("targets")
    shutil.copytree(template, folder / "cohort")

    def labelled(table: pd.DataFrame) -> pd.DataFrame:
        turned = {"positive": "negative", "negative": "positive", "": "positive"}
        pr = [turned[cell] if i % 4 == 0 else cell for i, cell in enumerate(table["ER"])]
        return table.assign(PR=pr, GRADE=[(*GRADES, "")[i % 4] for i in range(len(table))])

    change_table(folder / "cohort" / "clinical.csv", labelled)
    methods = {
        "abmil": None,
        "mkd": None,
        "joint": {"recipe": "abmil", "joint": True, "network": NETWORK},
        "apart": {"recipe": "abmil", "network": NETWORK},
    }
    no_genes = {"genomics": None, "cohort": {"survival": None}}
    changes = {"targets": TARGETS, "methods": methods, "baselines": []} | no_genes
    file = experiment_file(folder, changes)
    told = succeed("train", file, "--method", "joint", "--out", folder / "model").stdout
    assert "(3 models of ER, GRADE, PR; see MODEL_CARD.md)" in told
    return folder


def predict(job: Path, out: Path, *more: object) -> tuple[object, ...]:
    return (
        *("predict", job / "model", "--features", job / "cohort" / "features"),
        *("--slides-table", job / "cohort" / "slides.csv", "--out", out, *more),
    )


def test_one_call_answers_all_targets(job: Path, tmp_path: Path) -> None:
    told = succeed(*predict(job, tmp_path / "all.csv")).stdout.splitlines()
    assert [line.partition(" (")[0] for line in told] == [
        "ER: 40 patients",
        "GRADE: 40 patients",
        "PR: 40 patients",
    ]
    table = pd.read_csv(tmp_path / "all.csv")
    assert len(table) == 120
    assert table.groupby("PATIENT")["target"].apply(list).map(tuple).unique().tolist() == [
        ("ER", "GRADE", "PR")
    ]
    assert table["probability"].notna().all()
    succeed(*predict(job, tmp_path / "one.csv", "--target", "PR", "--threshold", 0.4))
    one = pd.read_csv(tmp_path / "one.csv")
    assert set(one["target"]) == {"PR"}
    assert fail(*predict(job, tmp_path / "no.csv", "--target", "HER2")) == [
        f"{job}/model: has no HER2; --target is one of ER, GRADE, PR"
    ]


def test_answers_for_all_targets_are_evaluated_at_once(job: Path, tmp_path: Path) -> None:
    succeed(*predict(job, tmp_path / "all.csv"))
    clinical = job / "cohort" / "clinical.csv"
    words = ("evaluate", tmp_path / "all.csv", "--clinical", clinical, "--out")
    succeed(*words, tmp_path / "report")
    summary = pd.read_csv(tmp_path / "report" / "tables" / "summary.csv")
    assert set(summary["target"]) == {"ER", "PR", "GRADE"}
    succeed(*words, tmp_path / "one", "--target", "PR", "--column", "ER")
    assert set(pd.read_csv(tmp_path / "one" / "tables" / "summary.csv")["target"]) == {"PR"}
    (problem,) = fail(*words, tmp_path / "no", "--column", "ER")
    assert problem == (
        "the predictions are of ER, GRADE, PR, and --column is of one: say which with --target"
    )


def test_a_site_is_calibrated_for_one_target(job: Path, tmp_path: Path) -> None:
    succeed(*predict(job, tmp_path / "all.csv"))
    words = (
        *("calibrate", job / "model", "--predictions", tmp_path / "all.csv"),
        *("--labels", job / "cohort" / "clinical.csv", "--site", "here"),
    )
    (problem,) = fail(*words)
    assert "answers ER, GRADE, PR; say which with --target" in problem
    succeed(*words, "--target", "ER")
    told = succeed(*predict(job, tmp_path / "here.csv", "--site", "here")).output
    assert "PR: the bundle was not calibrated for the site here" in told.replace("\n", " ")


def test_maps_are_of_one_target(job: Path, tmp_path: Path) -> None:
    words = (
        *("explain", job / "model", "--features", job / "cohort" / "features"),
        *("--slides-table", job / "cohort" / "slides.csv"),
    )
    (problem,) = fail(*words, "--out", tmp_path / "no")
    assert "say which with --target" in problem
    patient = pd.read_csv(job / "cohort" / "clinical.csv")["PATIENT"].iloc[0]
    succeed(*words, "--target", "PR", "--patient", patient, "--out", tmp_path / "maps")
    assert (tmp_path / "maps" / "maps.csv").is_file()


def test_separate_models_go_into_one_folder_as_well(job: Path, tmp_path: Path) -> None:
    words = ("train", job / "experiment.yaml", "--method", "apart", "--out", tmp_path / "two")
    succeed(*words, "--target", "GRADE", "--target", "ER")
    assert {p.name for p in (tmp_path / "two").iterdir() if p.is_dir()} == {"ER", "GRADE"}
    told = fail("train", job / "experiment.yaml", "--method", "apart", "--target", "X",
                "--out", tmp_path / "no")  # fmt: skip
    assert told == ["no target 'X': --target is one of ER, GRADE, PR"]
