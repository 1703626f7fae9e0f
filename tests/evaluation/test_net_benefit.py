from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import Answers, Runs, decision_curve


def runs(seed: int = 0, n: int = 80) -> Runs:
    generator = np.random.default_rng(seed)
    y = (np.arange(n) % 4 == 0).astype(int)
    p = np.clip(0.25 + 0.25 * y + 0.2 * generator.normal(size=n), 0.01, 0.99)
    answers = Answers.two_class(y, p)
    return Runs.joined([answers], answers.classes, 1)


def test_net_benefit_counts_true_positives_and_prices_false_ones():
    asked = runs()
    (answers,) = asked.runs
    thresholds = np.array([0.1, 0.3, 0.7])
    curve = decision_curve(asked, thresholds, n_resamples=50)
    for place, threshold in enumerate(thresholds):
        called = answers.positive >= threshold
        true = (called & (answers.y == 1)).sum() / len(asked)
        false = (called & (answers.y == 0)).sum() / len(asked)
        expected = true - false * threshold / (1 - threshold)
        assert curve.net_benefit[place] == pytest.approx(expected)
    assert (curve.low <= curve.net_benefit).all()
    assert (curve.net_benefit <= curve.high).all()


def test_acting_on_all_is_what_a_threshold_below_every_probability_gives():
    asked = runs()
    curve = decision_curve(asked, np.array([0.005, 0.5]), n_resamples=20)
    assert curve.net_benefit[0] == pytest.approx(curve.treat_all[0])
    assert curve.treat_all[1] == pytest.approx(0.25 - 0.75)


def test_the_curve_of_several_runs_is_their_mean():
    one, other = runs(1), runs(2)
    both = Runs.joined([*one.runs, *other.runs], one.classes, 2)
    thresholds = np.array([0.2, 0.4])
    mean = np.mean(
        [decision_curve(r, thresholds, n_resamples=5).net_benefit for r in (one, other)], axis=0
    )
    assert decision_curve(both, thresholds, n_resamples=5).net_benefit == pytest.approx(mean)


def test_the_curve_is_that_of_dcurves():
    dcurves = pytest.importorskip("dcurves")
    asked = runs(3)
    (answers,) = asked.runs
    thresholds = np.array([0.05, 0.2, 0.35, 0.5, 0.8])
    curve = decision_curve(asked, thresholds, n_resamples=5)
    table = pd.DataFrame({"outcome": answers.y, "p": answers.positive})
    oracle = dcurves.dca(data=table, outcome="outcome", modelnames=["p"], thresholds=thresholds)
    by_model = oracle.set_index("model")["net_benefit"]
    assert curve.net_benefit == pytest.approx(by_model.loc["p"].to_numpy())
    assert curve.treat_all == pytest.approx(by_model.loc["all"].to_numpy())
