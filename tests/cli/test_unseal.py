"""A run whose test answers are sealed, from training to its report."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from histodistill import sealing
from histodistill.errors import InputError
from tests.cli.command_line import fail, succeed
from tests.experiment.small import NETWORK, experiment_file

CHANGES = {
    "splits": {"seal": True},
    "methods": {"mkd": None},
    "genomics": None,
    "cohort": {"survival": None},
    "baselines": ["logistic-slides"],
    "genes": None,
}


@pytest.fixture(scope="module")
def folder(template, tmp_path_factory) -> Path:
    made: Path = tmp_path_factory.mktemp("sealed")
    (made / "cohort").symlink_to(template)
    return made


def test_nothing_is_told_until_the_seal_is_opened_and_then_when(folder: Path):
    experiment = experiment_file(folder, CHANGES)
    results = folder / "results"
    told = succeed("crossval", experiment).stdout
    assert "sealed until all choices are made" in told
    assert "Area under the ROC curve" not in told
    assert not list(results.rglob("predictions.csv"))
    assert len(list(results.rglob("predictions.sealed"))) == 4
    models = {p: p.stat().st_mtime_ns for p in results.rglob("*.safetensors")}
    assert "sealed" in succeed("crossval", experiment).stdout
    assert {p: p.stat().st_mtime_ns for p in results.rglob("*.safetensors")} == models

    predictions = results / "predictions.csv"
    for words in (
        ("report", results),
        ("evaluate", predictions, "--out", folder / "evaluated"),
        ("compare", predictions, "--reference", "abmil student", "--out", folder / "compared"),
        ("triage", predictions, "--max-missed", "0.1"),
    ):
        (problem,) = fail(*words)
        assert "the answers to test patients are sealed" in problem

    opened = succeed("unseal", results).stdout
    assert "Opened at " in opened
    table = pd.read_csv(predictions)
    assert set(table["method"]) == {"logistic-slides", "abmil"}
    assert table["student"].notna().all()
    assert not list(results.rglob("predictions.sealed"))
    (problem,) = fail("unseal", results)
    assert "a seal is opened once" in problem
    assert predictions.read_text() == predictions.read_text()
    before = predictions.read_bytes()
    assert "Area under the ROC curve" in succeed("crossval", experiment, "--no-report").stdout
    assert predictions.read_bytes() == before

    more = CHANGES | {"methods": {"mkd": None, "later": {"recipe": "abmil", "network": NETWORK}}}
    succeed("crossval", experiment_file(folder, more))
    checks = pd.read_csv(results / "report" / "tables" / "checks.csv").set_index("Check")
    found = checks.loc["answers to test patients", "Found"]
    assert str(found).endswith("trained after the opening: later")


def test_a_run_without_a_seal_has_nothing_to_open(folder: Path, tmp_path: Path):
    (problem,) = fail("unseal", tmp_path)
    assert "has no sealed answers" in problem
    (problem,) = fail("report", tmp_path)
    assert "is no run" in problem


def test_a_sealed_run_trains_final_models_and_an_interrupted_opening_goes_on(
    template, tmp_path, monkeypatch
):
    (tmp_path / "cohort").symlink_to(template)
    only = CHANGES | {"methods": {"abmil": {"network": NETWORK}, "mkd": None}, "baselines": []}
    experiment = experiment_file(tmp_path, only)
    succeed("crossval", experiment)
    words = ("train", experiment, "--target", "ER", "--method", "abmil", "--out")
    succeed(*words, tmp_path / "bundle")
    kept = (tmp_path / "bundle" / "calibration.json").read_text()
    assert '"origin": "validation"' in kept
    assert "out of fold" not in kept
    (problem,) = fail(*words, tmp_path / "ensemble", "--ensemble")
    assert "are sealed until" in problem

    def torn(*_: object) -> None:
        raise InputError("no space left")

    results = tmp_path / "results"
    with monkeypatch.context() as patch:
        patch.setattr(sealing, "open_file", torn)
        fail("unseal", results)
    for again in (
        ("crossval", experiment),
        ("report", results),
        (*words, tmp_path / "x", "--ensemble"),
    ):
        (problem,) = fail(*again)
        assert "was interrupted; run histodistill unseal" in problem
    succeed("unseal", results)
    assert "Area under the ROC curve" in succeed("crossval", experiment, "--no-report").stdout
