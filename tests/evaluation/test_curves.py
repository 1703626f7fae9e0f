from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from histodistill.evaluation import (
    Answers,
    Runs,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
    score,
)

Y = np.array([0, 0, 1, 1, 1, 0, 1, 0, 1, 1])
P = np.array([0.1, 0.4, 0.4, 0.8, 0.7, 0.7, 0.95, 0.2, 0.35, 1.0])
ANSWERS = Answers.two_class(Y, P, threshold=0.5)


def runs(*answers: Answers) -> Runs:
    return Runs.joined(answers, answers[0].classes, len(answers))


def test_roc_points_are_scikit_learn_s():
    false_positive, true_positive, _ = sk.roc_curve(Y, P, drop_intermediate=False)
    curve = roc_curve(runs(ANSWERS))
    np.testing.assert_allclose(curve.false_positive, false_positive)
    np.testing.assert_allclose(curve.true_positive, true_positive)


def test_the_band_holds_the_curve_and_is_deterministic():
    curve, again = roc_curve(runs(ANSWERS), seed=1), roc_curve(runs(ANSWERS), seed=1)
    np.testing.assert_array_equal(curve.low, again.low)
    at = np.interp(curve.grid, curve.false_positive, curve.true_positive)
    assert (curve.low <= at + 1e-9).all()
    assert (at <= curve.high + 1e-9).all()
    assert curve.low.min() >= 0
    assert curve.high.max() <= 1
    assert (curve.high - curve.low).max() > 0.2


def test_a_perfect_separation_has_a_flat_band():
    curve = roc_curve(runs(Answers.two_class([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])))
    np.testing.assert_allclose(curve.low, 1)
    np.testing.assert_allclose(curve.high, 1)


def test_precision_recall_points_are_scikit_learn_s():
    precision, recall, _ = sk.precision_recall_curve(Y, P)
    curve = precision_recall_curve(runs(ANSWERS))
    np.testing.assert_allclose(curve.recall[1:], recall[:-1][::-1])
    np.testing.assert_allclose(curve.precision[1:], precision[:-1][::-1])
    assert curve.prevalence == 0.6
    steps = (np.diff(curve.recall) * curve.precision[1:]).sum()
    assert steps == pytest.approx(score(ANSWERS).metrics["average_precision"])


def test_a_run_that_is_there_twice_changes_no_curve():
    once, twice = runs(ANSWERS), runs(ANSWERS, ANSWERS)
    first, again = roc_curve(once), roc_curve(twice)
    np.testing.assert_array_equal(first.low, again.low)
    rate = np.interp(again.grid, first.false_positive, first.true_positive)
    assert (again.true_positive[1:] >= rate - 1e-9).all()
    area = np.trapezoid(again.true_positive, again.false_positive)
    assert area == pytest.approx(score(ANSWERS).metrics["auc"], abs=0.01)
    curves = [reliability_curve(one) for one in (once, twice)]
    np.testing.assert_allclose(curves[0].observed, curves[1].observed)
    np.testing.assert_allclose(curves[0].counts, curves[1].counts)


def test_the_reliability_of_probabilities_that_are_right_is_the_diagonal():
    generator = np.random.default_rng(0)
    p = generator.uniform(0.1, 0.9, 4000)
    right = Answers.two_class(generator.uniform(size=4000) < p, p)
    curve = reliability_curve(runs(right))
    assert np.abs(curve.observed - curve.grid).max() < 0.06
    assert ((curve.low <= curve.grid) & (curve.grid <= curve.high)).mean() > 0.8
    assert curve.counts.sum() == 4000


def test_the_reliability_of_equal_probabilities_is_the_prevalence():
    curve = reliability_curve(runs(Answers.two_class(Y, np.full(10, 0.3))))
    np.testing.assert_allclose(curve.observed, 0.6)
