"""Every trained model gets its calibrators, fitted on patients whom it was not trained with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.calibration.columns import with_calibrated
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy import Bundle
from histodistill.errors import InputError
from histodistill.evaluation import read_predictions
from histodistill.experiment import load
from histodistill.training import cross_validate, fold_ensemble, train_final
from tests.training.cohorts import World, experiment

QUICK = {"training": {"max_epochs": 1}}


@pytest.fixture(scope="module")
def run(world: World, tmp_path_factory: pytest.TempPathFactory):
    """A finished cross-validation of one method."""
    folder = tmp_path_factory.mktemp("calibrating") / "run"
    setup = experiment(world.files, folder, **QUICK)
    return setup, cross_validate(setup, world.data)


def test_predictions_are_calibrated_fold_by_fold(run) -> None:
    setup, rows = run
    assert rows["student_calibrated"].notna().all()
    assert (rows["genomic_calibrated"].notna() == rows["genomic"].notna()).all()
    validation = pd.read_csv(setup.output / "validation.csv")
    for fold, tested in rows.groupby("fold"):
        known = validation[validation["fold"] == fold]
        plain = tested.drop(columns=[c for c in map(str, tested) if c.endswith("_calibrated")])
        again = with_calibrated(plain, known, CalibrationSettings())
        np.testing.assert_allclose(again["student_calibrated"], tested["student_calibrated"])


def test_the_results_of_a_fit_are_as_ever(run) -> None:
    setup, rows = run
    (folder, *_) = sorted((setup.output / "fits").rglob("predictions.csv"))
    own = read_predictions(folder)
    assert not [c for c in map(str, own) if c.endswith("_calibrated")]
    assert set(own["PATIENT"]) <= set(rows["PATIENT"])


def test_the_model_of_a_fold_holds_its_calibrator(run) -> None:
    setup, _ = run
    folder = next((setup.output / "fits").rglob("model"))
    calibration = Bundle.load(folder).calibration
    assert calibration is not None
    assert calibration.networks["student"].name == "platt"
    held_out = calibration.held_out["student"]
    assert held_out.origin == "validation"
    assert len(held_out.positive) == sum(calibration.networks["student"].patients)


def test_the_final_model_keeps_out_of_fold_answers(run, world: World) -> None:
    setup, rows = run
    made = train_final(setup, world.data, "ER", "mkd", seed=0)
    assert made.calibration is not None
    kept = made.calibration.held_out["student"]
    assert (kept.origin, kept.scale) == ("out of fold", "calibrated")
    np.testing.assert_allclose(kept.p, np.sort(rows["student_calibrated"]))
    # The calibrator is of this model's own validation patients, who are fewer.
    assert sum(made.calibration.networks["student"].patients) < len(rows)
    assert made.scope is not None
    assert made.scope.patients == len([p for p in rows["PATIENT"] if p in world.data.with_slides])


def test_the_ensemble_is_calibrated_on_the_folds_tests(run, world: World) -> None:
    setup, rows = run
    made = fold_ensemble(setup, world.data, "ER", "mkd")
    assert made.calibration is not None
    kept = made.calibration.held_out["student"]
    assert (kept.origin, kept.scale) == ("out of fold", "as given")
    assert sum(made.calibration.networks["student"].patients) == len(rows)
    assert made.scope is not None


def test_without_a_cross_validation_validation_patients_are_kept(
    world: World, tmp_path: Path
) -> None:
    setup = experiment(world.files, tmp_path / "run", **QUICK)
    made = train_final(setup, world.data, "ER", "mkd", seed=0)
    assert made.calibration is not None
    kept = made.calibration.held_out["student"]
    assert (kept.origin, kept.scale) == ("validation", "as given")


def test_what_the_patients_cannot_support_is_refused_before_training(
    world: World, tmp_path: Path
) -> None:
    asked = experiment(world.files, tmp_path / "a", calibration={"method": "isotonic"}, **QUICK)
    with pytest.raises(InputError, match="needs 100 validation patients"):
        cross_validate(asked, world.data)
    asked = experiment(world.files, tmp_path / "b", triage={"max_missed": 0.01}, **QUICK)
    with pytest.raises(InputError, match=r"`triage`: .*it takes 299 or more"):
        train_final(asked, world.data, "ER", "mkd", seed=0)
    assert not list((tmp_path / "b").rglob("*.safetensors"))


def test_hospitals_that_are_too_few_are_told_before_training(world: World, tmp_path: Path) -> None:
    # 10 % takes 29 positive patients; those at hand would do, were they not of six hospitals.
    loose = {"triage": {"max_missed": 0.2}, "training": {"max_epochs": 1, "members": 3}}
    alike = experiment(world.files, tmp_path / "alike", **loose)
    train_final(alike, world.data, "ER", "mkd", seed=0)
    apart = alike.model_copy(
        update={
            "splits": alike.splits.model_copy(update={"scheme": "site"}),
            "output": tmp_path / "apart",
        }
    )
    with pytest.raises(InputError, match=r"for other hospitals by .* of 6: hospitals are few"):
        train_final(apart, load(apart), "ER", "mkd", seed=0)
    assert not list((tmp_path / "apart").rglob("*.safetensors"))


def test_what_the_answers_of_a_cross_validation_cannot_certify_is_told_before_training(
    run, world: World
) -> None:
    setup, rows = run
    before = sorted(setup.output.rglob("*"))
    n_positive = rows.drop_duplicates("PATIENT")["label"].eq("positive").sum()
    asked = setup.model_copy(update={"triage": TriagePolicy(min_ppv=0.7)})
    assert n_positive > 20
    with pytest.raises(InputError, match="the best that is certified is"):
        train_final(asked, world.data, "ER", "mkd", seed=0)
    assert not {p.suffix for p in set(setup.output.rglob("*")) - set(before)} & {".safetensors"}


def test_three_classes_get_a_temperature(world: World, tmp_path: Path) -> None:
    three = {"SUBTYPE": {"classes": ["basal", "luminal", "normal"]}}
    setup = experiment(world.files, tmp_path, targets=three, methods={"abmil": {}}, **QUICK)
    rows = cross_validate(setup, load(setup))
    columns = [f"student_calibrated:{name}" for name in ("basal", "luminal", "normal")]
    np.testing.assert_allclose(rows[columns].sum(axis=1), 1)


def test_earlier_runs_go_on_and_another_calibrator_is_another_run(run, world: World) -> None:
    setup, rows = run
    record = setup.output / "experiment.json"
    stored = json.loads(record.read_text())
    del stored["calibration"], stored["triage"]
    record.write_text(json.dumps(stored))
    pd.testing.assert_frame_equal(cross_validate(setup, world.data), rows)
    other = setup.model_copy(update={"calibration": CalibrationSettings(method="beta")})
    with pytest.raises(InputError, match=r"differs in calibration\.method"):
        cross_validate(other, world.data)
