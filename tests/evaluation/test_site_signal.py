from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import Answers, Runs
from histodistill.evaluation.site_signal import feature_site_signal, score_site_signal

N = 90


def world(shift: float) -> tuple[Runs, pd.Series, pd.DataFrame]:
    """Three sites whose scores and features lie ``shift`` apart."""
    generator = np.random.default_rng(5)
    y = (np.arange(N) % 2).astype(int)
    site = np.arange(N) % 3
    odds = 2 * (y - 0.5) + shift * site + generator.normal(size=N)
    answers = Answers.two_class(y, 1 / (1 + np.exp(-odds)))
    features = generator.normal(size=(N, 6))
    features[np.arange(N), site] += 2 * shift
    index = list(answers.patients)
    sites = pd.Series([f"S{k}" for k in site], index)
    return Runs.joined([answers], answers.classes, 1), sites, pd.DataFrame(features, index)


def test_scores_and_features_that_tell_the_site_are_found():
    runs, sites, features = world(2.0)
    scores, patches = score_site_signal(runs, sites), feature_site_signal(features, sites)
    assert scores is not None
    assert patches is not None
    assert scores.value > 0.5
    assert scores.p == pytest.approx(1 / 1001)
    assert patches.value > 0.9
    assert (scores.n_patients, scores.n_sites) == (N, 3)


def test_chance_is_chance():
    runs, sites, features = world(0.0)
    scores, patches = score_site_signal(runs, sites), feature_site_signal(features, sites)
    assert scores is not None
    assert patches is not None
    assert scores.p > 0.05
    assert scores.expected == pytest.approx(2 / (N - 2), rel=0.3)
    assert 0.3 < patches.value < 0.7


def test_small_sites_are_left_out_and_one_site_says_nothing():
    runs, sites, features = world(1.0)
    rare = sites.mask(sites.index.astype(int) >= 24)
    assert score_site_signal(runs, rare) is None
    assert feature_site_signal(features, rare) is None
    assert score_site_signal(runs, pd.Series(np.nan, sites.index, dtype=object)) is None
