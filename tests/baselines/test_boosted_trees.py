"""Gradient-boosted trees."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from histodistill.baselines import Baseline, BoostedTreesBaseline
from histodistill.errors import InputError
from tests.baselines.test_baselines import simulated


@pytest.mark.parametrize("n_classes", [2, 4])
def test_it_learns_and_repeats_itself(n_classes):
    x, y = simulated(200, n_classes=n_classes)
    new, truth = simulated(120, n_classes=n_classes, seed=1)
    first, second = (BoostedTreesBaseline(n_classes=n_classes).fit(x, y) for _ in range(2))
    probabilities = first.predict_proba(new)
    np.testing.assert_array_equal(probabilities, second.predict_proba(new))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == truth).mean() > 0.6


def test_it_learns_what_is_not_linear():
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4))
    y = (np.abs(x[:, 2]) > 0.7).astype(np.int64)
    fitted = BoostedTreesBaseline().fit(x[:200], y[:200])
    assert roc_auc_score(y[200:], fitted.predict_proba(x[200:])[:, 1]) > 0.95


def test_the_order_of_the_values_is_what_counts():
    x, y = simulated(150)
    stretched = np.sign(x) * np.abs(x) ** 3
    first = BoostedTreesBaseline().fit(x, y).predict_proba(x).argmax(axis=1)
    second = BoostedTreesBaseline().fit(stretched, y).predict_proba(stretched).argmax(axis=1)
    assert (first == second).mean() > 0.95


def test_few_values_are_those_of_scikit_learn():
    x, y = simulated(150)
    coarse = np.round(x * 2).clip(-3, 3)  # less than 32 values, each often
    theirs = HistGradientBoostingClassifier(
        class_weight="balanced", early_stopping=False, random_state=0
    ).fit(coarse, y)
    ours = BoostedTreesBaseline().fit(coarse, y)
    np.testing.assert_allclose(ours.predict_proba(coarse), theirs.predict_proba(coarse))


def test_classes_are_balanced():
    random = np.random.default_rng(0)
    x = random.normal(size=(400, 3))
    y = (x[:, 0] + random.normal(size=400) > 1.8).astype(np.int64)
    assert y.mean() < 0.15
    mean = BoostedTreesBaseline().fit(x, y).predict_proba(random.normal(size=(400, 3)))[:, 1].mean()
    plain = HistGradientBoostingClassifier(random_state=0).fit(x, y)
    assert mean > plain.predict_proba(random.normal(size=(400, 3)))[:, 1].mean()


def test_a_class_that_training_lacks_gets_probability_zero():
    x, y = simulated()
    y[y == 1] = 2
    model: Baseline = BoostedTreesBaseline(n_classes=3)
    probabilities = model.fit(x, y).predict_proba(x)
    assert probabilities.shape == (90, 3)
    assert (probabilities[:, 1] == 0).all()


def test_unusable_training_data_are_refused():
    x, y = simulated()
    with pytest.raises(InputError, match=r"of 2 classes got the labels \[0, 1, 2\]"):
        BoostedTreesBaseline().fit(x, np.where(np.arange(90) == 0, 2, y))
