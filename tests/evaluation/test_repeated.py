from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import RepeatedStratifiedKFold

from histodistill.errors import InputError
from histodistill.evaluation.repeated import fold_differences, resampled_test


def test_the_variance_is_widened_by_what_divisions_share() -> None:
    differences = [0.02, -0.01, 0.03, 0.04, 0.0, 0.01]
    found = resampled_test(differences, test_share=0.2)
    variance = np.var(differences, ddof=1)
    t = np.mean(differences) / np.sqrt((1 / 6 + 0.25) * variance)
    assert found.difference == pytest.approx(np.mean(differences))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 5))
    assert found.low < 0 < found.high
    assert found.n == 6
    ordinary = resampled_test(differences, test_share=1e-12)
    assert ordinary.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    assert found.p > ordinary.p


def test_an_interval_ends_at_zero_where_p_is_its_level() -> None:
    differences = np.array([0.02, -0.01, 0.03, 0.04, 0.0, 0.01])
    p = resampled_test(differences, 0.2).p
    found = resampled_test(differences, 0.2, confidence=1 - p)
    assert found.low == pytest.approx(0, abs=1e-12)


def test_equal_differences_leave_no_doubt() -> None:
    assert resampled_test([0.0, 0.0], 0.2).p == 1
    assert resampled_test([0.1, 0.1], 0.2).p == 0


@pytest.mark.parametrize(
    ("differences", "share"), [([0.1], 0.2), ([0.1, np.nan], 0.2), ([0.1, 0.2], 0.0)]
)
def test_what_cannot_be_tested_is_refused(differences: list[float], share: float) -> None:
    with pytest.raises(InputError):
        resampled_test(differences, share)


def test_of_equal_methods_few_are_found_different() -> None:
    """Two learners that see different noise features are equal by construction."""
    found, ordinary = [], []
    for seed in range(60):
        generator = np.random.default_rng(seed)
        y = np.arange(80) % 2
        signal = y[:, None] + generator.normal(size=(80, 2))
        sides = [np.hstack([signal[:, [i]], generator.normal(size=(80, 3))]) for i in range(2)]
        differences = []
        for train, test in RepeatedStratifiedKFold(
            n_splits=5, n_repeats=4, random_state=seed
        ).split(sides[0], y):
            a, b = (
                roc_auc_score(
                    y[test], RidgeClassifier().fit(x[train], y[train]).decision_function(x[test])
                )
                for x in sides
            )
            differences.append(a - b)
        found.append(float(resampled_test(differences, 0.2).p < 0.05))
        ordinary.append(float(stats.ttest_1samp(differences, 0).pvalue < 0.05))
    assert np.mean(found) < np.mean(ordinary) / 2


def test_differences_are_of_the_same_folds_and_of_means_over_seeds() -> None:
    rows = [
        ("ER", "student", method, seed, 0, fold, auc + 0.1 * seed)
        for method, auc in (("a", 0.8), ("b", 0.7))
        for seed in (0, 1)
        for fold in (0, 1)
    ]
    rows = [row for row in rows if row[2:6] != ("b", 0, 0, 1) and row[2:6] != ("b", 1, 0, 1)]
    rows.append(("PR", "student", "a", 0, 0, 0, 0.9))
    columns = ["target", "network", "method", "seed", "repeat", "fold", "auc"]
    fits = pd.DataFrame(rows, columns=columns)
    assert fold_differences(fits, "ER", "student", "a", "b") == pytest.approx([0.1])
