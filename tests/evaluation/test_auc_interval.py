from __future__ import annotations

import numpy as np
import pytest

from histodistill.evaluation import auc_interval, delong


def newcombe(auc: float, end: float, m: int, n: int) -> float:
    """How far a limit is from satisfying (auc - end)^2 = z^2 V(end), from the formula."""
    half = (m + n) / 2
    variance = end * (1 - end) / (m * n)
    variance *= 1 + (half - 1) * (1 - end) / (2 - end) + (half - 1) * end / (1 + end)
    return float((auc - end) ** 2 - 1.959964**2 * variance)


@pytest.mark.parametrize(("auc", "m", "n"), [(0.7, 13, 87), (0.95, 40, 60), (0.5, 5, 5)])
def test_limits_solve_the_score_equation(auc: float, m: int, n: int):
    for end in auc_interval(auc, 0.0, m, n):
        assert newcombe(auc, float(end), m, n) == pytest.approx(0, abs=1e-7)


def test_an_area_of_one_has_a_lower_limit():
    low, high = auc_interval(1.0, 0.0, 13, 87)
    assert high == 1
    assert 0.8 < low < 1
    assert newcombe(1.0, float(low), 13, 87) == pytest.approx(0, abs=1e-7)
    assert auc_interval(0.0, 0.0, 13, 87) == pytest.approx((0, 1 - low))


def test_equal_scores_and_a_single_patient_have_an_interval():
    low, high = auc_interval(0.5, 0.0, 20, 30)
    assert (low, high) == pytest.approx((0.345, 0.655), abs=0.01)
    low, high = auc_interval(0.8, float("nan"), 1, 50)
    assert 0 < low < 0.8 < high < 1


def test_scores_that_vary_more_than_the_model_have_a_wider_interval():
    of_model = auc_interval(0.8, 0.0, 20, 80)
    wider = auc_interval(0.8, 0.01, 20, 80)
    assert wider[0] < of_model[0]
    assert wider[1] > of_model[1]


def test_coverage_with_few_positives():
    """Where the normal interval with DeLong's variance covers 80 to 89 %."""
    generator = np.random.default_rng(0)
    y = np.arange(100) < 13
    # Two normals of equal variance with an AUC of .9.
    truth, covered = 0.9, 0
    for _ in range(300):
        scores = generator.normal(size=100) + 1.8124 * y
        found = delong(y, scores)
        low, high = auc_interval(found.aucs[0], found.covariance[0, 0], 13, 87)
        covered += bool(low <= truth <= high)
    assert covered >= 0.93 * 300
