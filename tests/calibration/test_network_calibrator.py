"""The calibrator of one network: which it is, and what is told where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from histodistill.calibration.class_calibrator import ClassCalibrator
from histodistill.calibration.network_calibrator import (
    CalibrationSettings,
    NetworkCalibrator,
    calibrate_network,
    too_few_patients,
)


def two(n: int, positive: float = 0.5, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < positive).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(0, 1, n) + 2 * y - 1)))
    return y, np.column_stack([1 - p, p])


def three(n: int, seed: int = 0):
    """Labels drawn from probabilities that are then made too extreme, and off by a class."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet([1, 1, 1], n)
    y = np.array([rng.choice(3, p=row) for row in true])
    wrong = true**2 * [3, 1, 0.5]
    return y, wrong / wrong.sum(axis=1, keepdims=True), true


@pytest.mark.parametrize(("n", "positive", "name"), [(90, 0.5, "platt"), (400, 0.5, "beta")])
def test_auto_takes_the_simpler_one_for_few(n: int, positive: float, name: str) -> None:
    y, p = two(n, positive)
    assert calibrate_network(CalibrationSettings(), y, p, 1).name == name


def test_three_patients_are_calibrated_as_far_as_they_tell() -> None:
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    found = calibrate_network(CalibrationSettings(), [0, 1, 1], p, 1)
    assert found.values["slope"] == 1
    assert np.isfinite(found.transform(p, 1)).all()


def test_many_patients_of_whom_few_are_positive_are_few() -> None:
    y, p = two(400, 0.08)
    assert calibrate_network(CalibrationSettings(), y, p, 1).name == "platt"


def test_the_positive_class_may_be_the_first() -> None:
    y, p = two(120)
    usual = calibrate_network(CalibrationSettings(), y, p, 1)
    turned = calibrate_network(CalibrationSettings(), 1 - y, p[:, ::-1], 0)
    np.testing.assert_allclose(turned.transform(p[:, ::-1], 0)[:, ::-1], usual.transform(p, 1))
    assert turned.patients == usual.patients[::-1]


def test_a_class_that_nobody_has_is_told() -> None:
    _, p = two(30)
    found = calibrate_network(CalibrationSettings(), np.ones(30, int), p, 1)
    assert found.name == "none"
    assert "a class has none of its 30 validation patients" in found.note
    assert np.isnan(found.transform(p, 1)).all()
    assert "not calibrated: a class has none" in found.sentence(("negative", "positive"))


def test_who_is_not_answered_is_left_out() -> None:
    y, p = two(120)
    p[:50] = np.nan
    alone = calibrate_network(CalibrationSettings(), y[50:], p[50:], 1)
    assert calibrate_network(CalibrationSettings(), y, p, 1) == alone
    assert sum(alone.patients) == 70


def test_three_classes_come_near_the_truth_and_sum_to_one() -> None:
    y, p, _ = three(3000)
    _, new, truth = three(500, seed=1)
    found = calibrate_network(CalibrationSettings(), y, p, None)
    assert found.name == "temperature"
    after = found.transform(new, None)
    np.testing.assert_allclose(after.sum(axis=1), 1)
    assert np.abs(after - truth).mean() < 0.02
    assert np.abs(new - truth).mean() > 0.1
    stored = NetworkCalibrator.model_validate_json(found.model_dump_json())
    np.testing.assert_array_equal(stored.transform(new, None), after)


def test_few_patients_of_three_classes_mend_the_levels_alone() -> None:
    y, p, _ = three(20)
    found = ClassCalibrator.fit(y, p)
    assert found.slope == 1
    assert np.isfinite(found.transform(p)).all()


@pytest.mark.parametrize(
    "stored",
    [
        {"name": "platt", "values": {"slope": 1}, "patients": [3, 3]},
        {"name": "platt", "values": {"slope": float("nan"), "intercept": 0}, "patients": [3, 3]},
        {"name": "isotonic", "values": {"corners": [0, 1], "values": [0, 2]}, "patients": [3, 3]},
        {
            "name": "venn-abers",
            "values": {"scores": [0.1], "lower": [], "upper": []},
            "patients": [3, 3],
        },
        {"name": "temperature", "values": {"slope": 1, "biases": [0, 0, 0]}, "patients": [3, 3]},
        {"name": "magic", "values": {}, "patients": [3, 3]},
    ],
)
def test_what_is_no_calibrator_is_not_read(stored: dict) -> None:
    with pytest.raises(ValidationError):
        NetworkCalibrator.model_validate(stored)


def test_a_staircase_of_few_is_refused_beforehand() -> None:
    isotonic = CalibrationSettings(method="isotonic")
    assert "needs 100 validation patients and there are 60" in str(too_few_patients(isotonic, 60))
    assert too_few_patients(isotonic, 100) is None
    assert too_few_patients(CalibrationSettings(), 2) is None
