from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from histodistill.evaluation import Answers, Runs, calibration_line


def drawn(n: int, slope: float, intercept: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and probabilities whose calibration slope and intercept are known."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=n)
    y = generator.random(n) < 1 / (1 + np.exp(-z))
    return y.astype(int), 1 / (1 + np.exp(-(z - intercept) / slope))


def line(y: np.ndarray, p: np.ndarray, copies: int = 1):
    one = Answers.two_class(y, p)
    return calibration_line(Runs.joined([one] * copies, one.classes, copies))


def test_the_slope_is_that_of_scikit_learn():
    y, p = drawn(300, 0.5, 0.3)
    z = np.log(p / (1 - p))[:, None]
    fitted = LogisticRegression(C=np.inf, tol=1e-10).fit(z, y)
    assert line(y, p).slope == pytest.approx(fitted.coef_[0, 0], rel=1e-4)


def test_the_intercept_makes_the_mean_probability_that_of_the_outcome():
    y, p = drawn(300, 1.0, 0.7)
    found = line(y, p).intercept
    moved = 1 / (1 + (1 - p) / p * np.exp(-found))
    assert moved.mean() == pytest.approx(y.mean(), abs=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.5, 0.0), (1.0, 0.8)])
def test_intervals_hold_the_truth(slope: float, intercept: float):
    # 3 of 60 may miss a 95 % interval; 9 or more happen once in a thousand times.
    found = [line(*drawn(400, slope, intercept, seed)) for seed in range(60)]
    assert sum(not one.slope_low <= slope <= one.slope_high for one in found) < 9
    if slope == 1:
        misses = sum(not o.intercept_low <= intercept <= o.intercept_high for o in found)
        assert misses < 9


def test_runs_that_say_the_same_are_no_more_patients():
    y, p = drawn(100, 1.0, 0.0)
    assert line(y, p, copies=3) == pytest.approx(line(y, p))


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),
        ([1, 1], [0.3, 0.4]),
    ],
)
def test_where_there_is_no_slope(y: list[int], p: list[float]):
    assert np.isnan(line(np.array(y), np.array(p))).all()


def test_certain_probabilities_are_no_infinite_logits():
    found = line(np.array([0, 1, 0, 1, 1, 0]), np.array([0.0, 1.0, 0.4, 0.3, 0.9, 1.0]))
    assert np.isfinite(found).all()
