"""Calibrated answers beside those of networks: out of fold, and each where it belongs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.calibration.calibrators import PlattCalibrator
from histodistill.calibration.columns import uncalibrated, with_calibrated
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.evaluation import as_calibrated, calibration_figures, check_predictions
from histodistill.evaluation.answers import Answers
from histodistill.evaluation.calibration_figures import brier_parts
from tests.evaluation.simulated import three_class, two_class


def parts(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Test and validation patients."""
    return rows[rows["fold"] > 1].reset_index(drop=True), rows[rows["fold"] <= 1]


def test_a_network_is_calibrated_on_its_validation_patients_alone() -> None:
    tested, validation = parts(two_class(networks=("student", "genomic")))
    found = with_calibrated(tested, validation, CalibrationSettings())
    for method in ("abmil", "mkd"):
        known = validation[validation["method"] == method]
        y = known["label"] == "positive"
        own = PlattCalibrator.fit(y, known["genomic"])
        rows = found[found["method"] == method]
        np.testing.assert_allclose(rows["genomic_calibrated"], own.transform(rows["genomic"]))
    pd.testing.assert_frame_equal(found[tested.columns], tested)
    changed = tested.assign(label="positive")
    again = with_calibrated(changed, validation, CalibrationSettings())
    assert again["student_calibrated"].equals(found["student_calibrated"])


def test_none_adds_nothing() -> None:
    tested, validation = parts(two_class())
    assert with_calibrated(tested, validation, CalibrationSettings(method="none")) is tested


def test_three_classes_keep_their_sum() -> None:
    tested, validation = parts(three_class())
    found = check_predictions(with_calibrated(tested, validation, CalibrationSettings()), "x")
    columns = [c for c in map(str, found) if "_calibrated:" in c]
    assert len(columns) == 3
    np.testing.assert_allclose(found[columns].sum(axis=1), 1)


def test_a_class_missing_in_validation_is_told() -> None:
    tested, validation = parts(two_class())
    alone = validation[validation["label"] == "positive"]
    found = with_calibrated(tested, alone, CalibrationSettings())
    assert found["student_calibrated"].isna().all()
    sentence, _ = uncalibrated(found)
    assert sentence.startswith("ER, abmil student: 36 of 36 answers are not calibrated")


def test_figures_before_and_after() -> None:
    rows = two_class(n=2000, methods=(("abmil", 2.0),))
    extreme = rows.assign(student=1 / (1 + ((1 - rows["student"]) / rows["student"]) ** 3))
    tested, validation = parts(extreme)
    found = calibration_figures(with_calibrated(tested, validation, CalibrationSettings()))
    before, after = found.to_dict("records")
    assert (before["probabilities"], after["probabilities"]) == ("as given", "calibrated")
    assert after["ece"] < 0.7 * before["ece"]
    assert abs(after["slope"] - 1) < abs(before["slope"] - 1)
    for row in (before, after):
        parts_of = row["miscalibration"] - row["discrimination"] + row["uncertainty"]
        assert parts_of == pytest.approx(row["brier"])
    # The order stays, and so does what isotonic regression makes of it.
    assert after["discrimination"] == pytest.approx(before["discrimination"])


def test_without_calibrated_answers_there_is_nothing_after() -> None:
    assert set(calibration_figures(two_class())["probabilities"]) == {"as given"}
    assert "student" not in as_calibrated(two_class())


def test_brier_parts_of_perfect_and_of_useless_answers() -> None:
    y = np.array([0, 1] * 10)
    perfect = brier_parts(Answers.two_class(y, y.astype(float)))
    assert perfect == pytest.approx((0, 0.25, 0.25))
    assert brier_parts(Answers.two_class(y, np.full(20, 0.9))) == pytest.approx((0.16, 0, 0.25))
