"""What is chosen on some folds is judged on the others; the command says it all."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from histodistill.calibration.out_of_fold import (
    calibration_out_of_fold,
    exact_interval,
    triage_out_of_fold,
)
from histodistill.calibration.triage import TriagePolicy, fit_triage
from histodistill.evaluation.predictions import write_predictions
from tests.cli.command_line import fail, succeed


def cohort(n: int = 400, apart: float = 3.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    p = expit(rng.normal(0, 1, n) + apart * (y - 0.5))
    return y, p, np.arange(n) % 5


def test_each_fold_is_answered_by_the_others() -> None:
    y, p, fold = cohort()
    found = triage_out_of_fold(TriagePolicy(max_missed=0.1), y, p, fold)
    assert found.answers is not None
    assert found.summary is not None
    here = fold == 2
    rule = fit_triage(TriagePolicy(max_missed=0.1), y[~here], p[~here])
    assert [a for a, own in zip(found.answers, here, strict=True) if own] == rule.answers(p[here])
    figures = found.summary.set_index("figure")
    assert figures.loc["positive patients called negative", "of"] == y.sum()
    assert figures.loc["spared the test", "patients"] == found.answers.count("negative")


def test_too_few_to_check_is_said_and_the_rule_stands() -> None:
    y, p, fold = cohort(160, seed=3)
    assert 59 <= y.sum() < 70
    found = triage_out_of_fold(TriagePolicy(max_missed=0.05), y, p, fold)
    assert found.rule.negative is not None
    assert found.answers is None
    assert found.note.startswith("not checked on patients")


def test_exact_intervals() -> None:
    assert exact_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)
    assert exact_interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert exact_interval(0, 0) == (0.0, 1.0)


def test_calibration_mends_probabilities_that_are_too_extreme() -> None:
    y, p, fold = cohort(2000)
    extreme = expit(3 * logit(p) + 1)
    table = calibration_out_of_fold(y, extreme, fold)
    none, *others = table.to_dict("records")
    assert none["ece"] > 0.06
    assert [row["calibrator"] for row in others] == ["platt", "beta"]
    for row in others:
        assert row["ece"] < none["ece"] / 2
        assert row["slope"] == pytest.approx(1, abs=0.15)
        assert row["brier"] < none["brier"]


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    y, p, fold = cohort()
    rows = pd.DataFrame(
        {
            "PATIENT": [f"P{i}" for i in range(len(y))],
            "target": "ER",
            "method": "abmil",
            "seed": 0,
            "repeat": 0,
            "fold": fold,
            "label": np.where(y == 1, "positive", "negative"),
            "classes": "negative|positive",
            "positive_class": "positive",
            "student": p,
            "student_threshold": 0.5,
        }
    )
    write_predictions(tmp_path / "predictions.csv", rows)
    return tmp_path / "predictions.csv"


def test_the_command(predictions: Path) -> None:
    said = succeed("triage", predictions, "--max-missed", "0.05", "--max-false-alarms", "0.1")
    assert "negative below" in said.output
    assert "spared the test" in said.output
    folder = predictions.parent / "triage"
    patients = pd.read_csv(folder / "patients.csv")
    assert set(patients["triage"]) == {"positive", "negative", "send to IHC"}
    summary = pd.read_csv(folder / "triage.csv").set_index("figure")
    positive = patients[patients["positive"] == 1]
    missed = (positive["triage"] == "negative").mean()
    assert summary.loc["positive patients called negative", "value"] == pytest.approx(missed)
    in_json = json.loads(succeed("triage", predictions, "--max-missed", "0.05", "--json").stdout)
    assert in_json["rule"]["negative"]["limit"] <= 0.05
    assert in_json["rule"]["positive"] is None


def test_what_cannot_be_promised_is_refused(predictions: Path) -> None:
    (problem,) = fail("triage", predictions, "--max-missed", "0.01")
    assert "it takes 299 or more" in problem
    (problem,) = fail("triage", predictions)
    assert "`--max-missed`" in problem
    (problem,) = fail("triage", predictions, "--max-missed", "0.1", "--network", "genomic")
    assert "there are: student" in problem


def test_an_error_is_one_error_and_options_have_their_names(predictions: Path) -> None:
    (problem,) = fail("triage", predictions, "--max-missed", "5")
    assert problem == "`--max-missed`: should be less than 1"
    (problem,) = fail("triage", predictions, "--max-missed", "0.01")
    assert problem.startswith("errors in at most 0.01 cannot be certified by ")


@pytest.mark.parametrize("rare", [0, 1])
def test_one_class_alone_outside_of_a_fold_is_refused(predictions: Path, rare: int) -> None:
    rows = pd.read_csv(predictions, dtype={"label": str})
    positive, other = rows["positive_class"].iloc[0], "another"
    rows["label"] = [other if place < rare else positive for place in range(len(rows))]
    rows.to_csv(predictions, index=False)
    (problem,) = fail("triage", predictions, "--max-missed", "0.1")
    assert "triage takes patients of both classes in every fold" in problem


def test_patients_of_a_fold_whose_others_certify_nothing_are_sent() -> None:
    y, p, _ = cohort(400)
    positive = np.flatnonzero(y == 1)
    fold = np.zeros(len(y), dtype=int)
    fold[np.flatnonzero(y == 0)] = np.arange((y == 0).sum()) % 5
    fold[positive[-20:]] = 1  # beside fold 0 there are 20 positive patients, beside fold 1 many
    found = triage_out_of_fold(TriagePolicy(max_missed=0.1), y, p, fold)
    assert found.answers is not None
    answers = np.array(found.answers)
    assert set(answers[fold == 0]) == {"send to IHC"}
    assert "negative" in set(answers[fold == 1])
    assert found.note.startswith("the patients of fold 0 are all sent to IHC")
    assert "it takes 29 or more" in found.note


@pytest.mark.parametrize("apart", [True, False])
def test_the_command_says_for_whom_it_promises(predictions: Path, apart: bool) -> None:
    patients = pd.read_csv(predictions)[["PATIENT", "fold"]]
    groups = np.arange(len(patients)) // 5 % 6
    hospital = "H" + patients["fold"].astype(str) + "-" + pd.Series(groups).astype(str)
    patients["WHERE"] = hospital if apart else "H" + pd.Series(groups).astype(str)
    table = predictions.parent / "clinical.csv"
    patients.drop(columns="fold").to_csv(table, index=False)
    given = ("triage", predictions, "--max-missed", "0.1", "--clinical", table)
    said = succeed(*given, "--site-column", "WHERE")
    assert ("in other hospitals like these 30" in " ".join(said.output.split())) == apart
    (problem,) = fail("triage", predictions, "--max-missed", "0.1", "--clinical", table)
    assert "`--site-column` go together" in problem
