"""A run whose test answers are sealed, from training to its report."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from histodistill import finished, sealing
from histodistill.errors import InputError
from histodistill.workflows import unsealing
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

    def torn(*_: object, **__: object) -> None:
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
    for owner, name in ((finished, "finish"), (Path, "unlink"), (unsealing, "write_predictions")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, torn)
            fail("unseal", results)
    opened = json.loads((results / sealing.OPENED).read_text())["time"]
    assert opened in succeed("unseal", results).stdout  # when it was opened first, not last
    assert "Area under the ROC curve" in succeed("crossval", experiment, "--no-report").stdout


@pytest.mark.parametrize("change", ["edited", "of another run", "gone"])
def test_a_changed_record_of_the_opening_is_seen(tmp_path, change):
    for name in ("run", "other"):
        run = tmp_path / name
        run.mkdir()
        sealing.begin(run)
        (run / "configuration.json").write_text("{}")
        sealing.write_contents(run, {"abmil": ["fits/0"]})
        sealing.record_opening(run, run / "configuration.json")
    path = tmp_path / "run" / sealing.OPENED
    found = sealing.opening_of(tmp_path / "run")
    assert found is not None
    assert found.methods == ("abmil",)
    told = json.loads(path.read_text())
    if change == "edited":
        path.write_text(json.dumps(told | {"time": "2031-01-01T00:00:00+00:00"}))
    elif change == "of another run":
        path.write_bytes((tmp_path / "other" / sealing.OPENED).read_bytes())
    else:
        path.unlink()
    with pytest.raises(InputError, match="is gone" if change == "gone" else "was changed since"):
        sealing.opening_of(tmp_path / "run")
    with pytest.raises(InputError, match=r"unsealed\.json"):
        unsealing.unseal(tmp_path / "run")
