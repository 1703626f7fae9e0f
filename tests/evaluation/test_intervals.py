from __future__ import annotations

import numpy as np
import pytest

from histodistill.evaluation import Answers, Runs, bootstrap_metrics, percentile_interval, score
from histodistill.evaluation.intervals import resamples


def runs(answers: Answers) -> Runs:
    return Runs.joined([answers], answers.classes, 1)


def simulated(n: int, seed: int, gap: float = 1.0) -> Answers:
    generator = np.random.default_rng(seed)
    y = (np.arange(n) % 3 > 0).astype(int)
    p = 1 / (1 + np.exp(-(gap * y + generator.normal(size=n))))
    return Answers.two_class(y, p, threshold=0.6)


def test_resamples_draw_patients_whatever_their_class_and_keep_every_class():
    y = np.array([0, 1, 1, 2, 1, 0])
    drawn = np.concatenate(list(resamples(y, 600, seed=1)))
    assert drawn.shape == (600, 6)
    assert (drawn.sum(axis=1) == 6).all()
    for label in (0, 1, 2):
        counts = drawn[:, y == label].sum(axis=1)
        assert counts.min() >= 1
        assert len(set(counts)) > 1


def test_the_prevalence_varies_as_that_of_new_patients():
    y = (np.arange(100) < 13).astype(int)
    shares = np.concatenate(list(resamples(y, 2000, seed=0)))[:, y == 1].sum(axis=1) / 100
    assert shares.std() == pytest.approx((0.13 * 0.87 / 100) ** 0.5, rel=0.1)


def test_the_same_seed_gives_the_same_resamples():
    answers = simulated(30, 0)
    first, again = (bootstrap_metrics(runs(answers), 300, seed=5) for _ in range(2))
    other = bootstrap_metrics(runs(answers), 300, seed=6)
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["auc"] != other["auc"]).any()


def test_each_resample_has_the_metrics_of_its_patients():
    answers = simulated(12, 0)
    answers = answers.of(sorted(answers.patients))
    drawn = np.concatenate(list(resamples(answers.y, 5, seed=2)))
    values = bootstrap_metrics(runs(answers), 5, seed=2)
    for row, weights in enumerate(drawn):
        rows = np.repeat(np.arange(12), weights.astype(int))
        alone = score(Answers.two_class(answers.y[rows], answers.positive[rows], threshold=0.6))
        for name, value in alone.metrics.items():
            assert values[name][row] == pytest.approx(value, nan_ok=True), name


def test_intervals_cover_the_truth():
    # AUC of two normals one standard deviation apart: Phi(1 / sqrt 2).
    truth, covered = 0.7602, 0
    for seed in range(150):
        values = bootstrap_metrics(runs(simulated(90, seed)), 300, seed=seed)["auc"]
        low, high = percentile_interval(values)
        covered += low <= truth <= high
    # 142.5 expected at 95 %; small samples cover a little less.
    assert 130 <= covered <= 150


def test_percentiles():
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert np.isnan(percentile_interval(np.array([0.1, np.nan]))).all()
