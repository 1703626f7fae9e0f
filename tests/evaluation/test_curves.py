from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from histodistill.evaluation import (
    Answers,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
    score,
)

Y = np.array([0, 0, 1, 1, 1, 0, 1, 0, 1, 1])
P = np.array([0.1, 0.4, 0.4, 0.8, 0.7, 0.7, 0.95, 0.2, 0.35, 1.0])
ANSWERS = Answers.two_class(Y, P, threshold=0.5)


def test_roc_points_are_scikit_learn_s():
    false_positive, true_positive, _ = sk.roc_curve(Y, P, drop_intermediate=False)
    curve = roc_curve(ANSWERS)
    np.testing.assert_allclose(curve.false_positive, false_positive)
    np.testing.assert_allclose(curve.true_positive, true_positive)


def test_the_band_holds_the_curve_and_is_deterministic():
    curve, again = roc_curve(ANSWERS, seed=1), roc_curve(ANSWERS, seed=1)
    np.testing.assert_array_equal(curve.low, again.low)
    at = np.interp(curve.grid, curve.false_positive, curve.true_positive)
    assert (curve.low <= at + 1e-9).all()
    assert (at <= curve.high + 1e-9).all()
    assert curve.low.min() >= 0
    assert curve.high.max() <= 1
    assert (curve.high - curve.low).max() > 0.2


def test_a_perfect_separation_has_a_flat_band():
    curve = roc_curve(Answers.two_class([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]))
    np.testing.assert_allclose(curve.low, 1)
    np.testing.assert_allclose(curve.high, 1)


def test_precision_recall_points_are_scikit_learn_s():
    precision, recall, _ = sk.precision_recall_curve(Y, P)
    curve = precision_recall_curve(ANSWERS)
    np.testing.assert_allclose(curve.recall[1:], recall[:-1][::-1])
    np.testing.assert_allclose(curve.precision[1:], precision[:-1][::-1])
    assert curve.prevalence == 0.6
    steps = (np.diff(curve.recall) * curve.precision[1:]).sum()
    assert steps == pytest.approx(score(ANSWERS).metrics["average_precision"])


def test_reliability_bins():
    curve = reliability_curve(ANSWERS)
    assert curve.counts.tolist() == [0, 1, 1, 1, 2, 0, 0, 2, 1, 2]
    assert curve.predicted[3] == pytest.approx(0.4)
    assert curve.observed[3] == pytest.approx(0.5)
    exact = binomtest(1, 2).proportion_ci(method="exact")
    assert (curve.low[3], curve.high[3]) == pytest.approx((exact.low, exact.high))
    assert (curve.low[0], curve.high[-1]) == (0, 1)
    gaps = np.abs(curve.observed - curve.predicted) * curve.counts[curve.counts > 0]
    assert gaps.sum() / len(Y) == pytest.approx(score(ANSWERS).metrics["ece"])
