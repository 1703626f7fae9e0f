"""Calibrators: what they mend, what they leave, and what they are made of."""

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression

from histodistill.calibration.calibrator import CalibratorName
from histodistill.calibration.calibrators import CALIBRATORS, PlattCalibrator, fit_calibrator
from histodistill.calibration.venn_abers import VennAbersCalibrator


def patients(n: int, slope: float = 0.4, shift: float = 1.0, seed: int = 0):
    """Probabilities whose log odds are too extreme and off by a constant."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0, 1.5, n)
    y = (rng.random(n) < expit(true)).astype(int)
    return y, expit((true - shift) / slope), expit(true)


@pytest.mark.parametrize("name", CALIBRATORS)
def test_probabilities_come_near_the_truth(name: CalibratorName) -> None:
    y, p, _ = patients(300)
    calibrator = fit_calibrator(name, y, p)
    assert calibrator is not None
    _, new, truth = patients(1000, seed=1)
    before, after = np.abs(new - truth).mean(), np.abs(calibrator.transform(new) - truth).mean()
    assert after < 0.08
    assert after < before / 2


@pytest.mark.parametrize("name", CALIBRATORS)
def test_the_order_stays_and_the_stored_one_is_the_same(name: CalibratorName) -> None:
    y, p, _ = patients(300)
    calibrator = CALIBRATORS[name].fit(y, p)
    grid = np.linspace(0, 1, 501)
    values = calibrator.transform(grid)
    assert (np.diff(values) >= -1e-12).all()
    assert ((values >= 0) & (values <= 1)).all()
    restored = CALIBRATORS[name].from_dict(calibrator.to_dict())
    np.testing.assert_array_equal(restored.transform(grid), values)
    assert np.isnan(calibrator.transform([np.nan, 0.5])).tolist() == [True, False]


def test_platt_finds_slope_and_intercept() -> None:
    y, p, _ = patients(20_000)
    found = PlattCalibrator.fit(y, p)
    assert found.slope == pytest.approx(0.4, abs=0.02)
    assert found.intercept == pytest.approx(1.0, abs=0.05)


def test_few_patients_mend_the_level_alone() -> None:
    y, p = np.array([1] * 5 + [0] * 60), np.linspace(0.3, 0.9, 65)
    found = PlattCalibrator.fit(y, p)
    assert found.slope == 1
    assert found.transform(p).mean() == pytest.approx((5 * 6 / 7 + 60 / 62) / 65)


def test_a_slope_that_would_invert_the_order_is_not_taken() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(100)
    y = (rng.random(100) < 1 - p).astype(int)
    assert PlattCalibrator.fit(y, p).slope == 1


def test_separable_patients_give_finite_answers() -> None:
    y, p = np.repeat([0, 1], 30), np.linspace(0.01, 0.99, 60)
    for kind in CALIBRATORS.values():
        assert np.isfinite(kind.fit(y, p).transform([0, 0.5, 1])).all()


def test_venn_abers_is_its_definition() -> None:
    y, p, _ = patients(40)
    p = p.round(2)  # with ties
    new = np.concatenate([p[:10], [0.0, 0.333, 0.5001, 1.0]])
    lower, upper = VennAbersCalibrator.fit(y, p).limits(new)
    for label, found in ((0, lower), (1, upper)):
        for place, value in zip(new, found, strict=True):
            scores, labels = np.append(p, place), np.append(y, label)
            fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
            assert fitted.fit(scores, labels).predict([place])[0] == pytest.approx(value)
    assert (lower <= upper).all()


def test_beta_leaves_right_probabilities_alone() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    grid = np.linspace(0.05, 0.95, 19)
    np.testing.assert_allclose(CALIBRATORS["beta"].fit(y, p).transform(grid), grid, atol=0.02)


@pytest.mark.parametrize(
    ("name", "y", "sentence"),
    [
        ("platt", [1] * 30, "one class alone"),
        ("isotonic", [0, 1] * 20, "needs 100 patients and has 40"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(
    name: CalibratorName, y: list[int], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        fit_calibrator(name, y, np.linspace(0, 1, len(y)))


def test_log_odds_of_certainty_are_finite() -> None:
    y, p = np.repeat([0, 1], 50), np.repeat([0.0, 1.0], 50)
    assert np.isfinite(logit(PlattCalibrator.fit(y, p).transform([0.0, 1.0]))).all()
