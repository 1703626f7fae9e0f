"""Learning curves of a finished run, from training to the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.training.run import learning_curves
from histodistill.training.run.fit_runner import FitRunner
from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, experiment_file

CHANGES = {
    "methods": {
        "abmil": {"network": NETWORK},
        "mkd": {"network": NETWORK, "training": {"unlabelled": True}},
    },
    "baselines": ["logistic-slides"],
    "genes": None,
}


@pytest.fixture(scope="module", autouse=True)
def _parts() -> Iterator[None]:
    """Parts that so few patients can be divided into, and one that they cannot."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_curves, "SHARES", (0.125, 0.5, 0.75))
        yield


@pytest.fixture(scope="module")
def results(template, tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("learning")
    (folder / "cohort").symlink_to(template)
    succeed("crossval", experiment_file(folder, CHANGES), "--no-report")
    return folder / "results"


@pytest.fixture(scope="module")
def told(results: Path) -> str:
    return succeed("report", results, "--learning-curves").stdout


def part(results: Path, share: float) -> Path:
    return results / "learning-curves" / f"part-{share:g}"


def test_test_patients_stay_and_labels_are_nested(results: Path, told: str):
    whole = pd.read_csv(results / "predictions.csv")
    key = ["PATIENT", "method", "seed", "repeat", "fold", "label"]
    seen: dict[tuple[int, str], set[str]] = {}
    for share in (0.5, 0.75):
        fewer = pd.read_csv(part(results, share) / "predictions.csv")
        pd.testing.assert_frame_equal(fewer[key], whole[key])
        assert not np.allclose(fewer["student"], whole["student"])
        for fold in (0, 1):
            answered = pd.read_csv(
                part(results, share) / f"fits/ER/abmil/seed-0/repeat-0-fold-{fold}/validation.csv"
            )
            own = set(answered["PATIENT"])
            assert own >= seen.get((fold, "abmil"), set())
            seen[fold, "abmil"] = own
        counts = pd.read_csv(part(results, share) / "labelled.csv")
        assert (counts["labelled"] + counts["withheld"] == counts["of"]).all()
        assert counts["labelled"].to_numpy() == pytest.approx(share * counts["of"], abs=2)


def test_a_part_that_is_too_small_is_told(results: Path, told: str):
    assert "0.125 of the labels are too few: the train part of fold" in told
    assert not (part(results, 0.125) / "predictions.csv").exists()


def test_the_report_draws_them_now_and_later(results: Path, told: str):
    tables = results / "report" / "tables"
    points = pd.read_csv(tables / "learning-ER.csv")
    own = points[(points["method"] == "mkd") & (points["network"] == "student")]
    assert own["labelled"].is_monotonic_increasing
    assert len(own) == 3
    summary = pd.read_csv(tables / "summary.csv")
    is_whole = (summary["method"] == "mkd") & (summary["network"] == "student")
    auc = summary[is_whole & (summary["metric"] == "auc")].iloc[0]
    assert own.iloc[-1][["auc", "low", "high"]].tolist() == pytest.approx(
        auc[["estimate", "low", "high"]].tolist()
    )
    needed = pd.read_csv(tables / "labels-needed-ER.csv")
    assert set(needed["reference"]) == {"abmil student"}
    (tables / "learning-ER.csv").unlink()
    succeed("report", results)
    assert (tables / "learning-ER.csv").exists()
    assert (
        "Learning curves: how many labelled patients"
        in (results / "report" / "report.html").read_text()
    )


def test_what_is_finished_is_not_trained_again(results: Path, told: str, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(FitRunner, "steps", refuse)
    assert (
        "were finished by an earlier run" in succeed("report", results, "--learning-curves").stdout
    )
    assert not list((results / "learning-curves").rglob("model"))


def test_options_that_have_no_effect_are_refused(results: Path):
    (problem,) = fail("report", results, "--jobs", "2")
    assert "--jobs has no effect without --learning-curves" in problem
