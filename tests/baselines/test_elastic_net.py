"""Logistic regression with elastic net."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from histodistill.baselines import Baseline, ElasticNetBaseline
from histodistill.baselines.elastic_net import _elastic_net, _path
from histodistill.errors import InputError
from histodistill.genomics import GenomicPreprocessor, SelectionSettings, read_genomic_table
from tests.baselines.test_baselines import fold, simulated


@pytest.mark.parametrize("mixing", [0.1, 0.5, 0.9])
def test_fits_are_those_of_scikit_learn(mixing):
    x, y = simulated(80, 30)
    y[: len(y) // 4] = 0
    x = StandardScaler().fit_transform(x)
    strongest = _strongest(x, y, mixing)
    strengths = (0.5, 0.1)
    path = _path(x, y == 1, mixing, strengths)
    for strength, (ours, intercept) in zip(strengths, path, strict=True):
        theirs = LogisticRegression(
            C=1 / (strength * strongest * len(y)),
            l1_ratio=mixing,
            solver="saga",
            class_weight="balanced",
            tol=1e-8,
            max_iter=20_000,
            random_state=0,
        ).fit(x, y)
        np.testing.assert_allclose(ours, theirs.coef_[0], atol=1e-3)
        np.testing.assert_allclose(intercept, theirs.intercept_, atol=1e-3)
        assert (ours == 0).any()


@pytest.mark.parametrize("mixing", [0.1, 0.9])
def test_features_that_are_left_out_change_nothing(mixing):
    """Three hundred features of sixty patients, most of them near copies, as genes side by side."""
    x, y = simulated(60, 30)
    rng = np.random.default_rng(0)
    x = StandardScaler().fit_transform(np.tile(x, 10) + 0.05 * rng.normal(size=(60, 300)))
    strengths = (0.7, 0.3, 0.1)
    weights, of_all = _weights(y), (np.zeros(300), 0.0)
    path = _path(x, y == 1, mixing, strengths)
    for strength, (few, intercept) in zip(strengths, path, strict=True):
        penalty = strength * _strongest(x, y, mixing)
        of_all = _elastic_net(x, y == 1, weights, penalty, mixing, of_all)
        np.testing.assert_allclose(x @ few + intercept, x @ of_all[0] + of_all[1], atol=0.01)
        # The conditions of the minimum, of the features that were left out too.
        slopes = (weights * (expit(x @ few + intercept) - y)) @ x / len(y)
        assert (np.abs(slopes[few == 0]) <= 1.01 * penalty * mixing).all()
        gap = slopes + penalty * (mixing * np.sign(few) + (1 - mixing) * few)
        assert (np.abs(gap[few != 0]) <= 0.05 * penalty).all()
    assert 0 < (few != 0).sum() < 300


def _strongest(x, y, mixing):
    return np.abs((_weights(y) * (y - 0.5)) @ x).max() / len(y) / mixing


def _weights(y):
    return len(y) / (2 * np.bincount(y))[y]


def test_strengths_are_shares_of_the_one_that_leaves_no_feature():
    x, y = simulated(80, 30)
    x = StandardScaler().fit_transform(x)
    none, some = _path(x, y == 1, 0.5, (1.001, 0.95))
    assert (none[0] == 0).all()
    assert (some[0] != 0).any()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_learns_and_repeats_itself(n_classes):
    x, y = simulated(120, n_classes=n_classes)
    new, truth = simulated(120, n_classes=n_classes, seed=1)
    first, second = (ElasticNetBaseline(n_classes=n_classes).fit(x, y) for _ in range(2))
    probabilities = first.predict_proba(new)
    np.testing.assert_array_equal(probabilities, second.predict_proba(new))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (probabilities.argmax(axis=1) == truth).mean() > 0.6


def test_two_classes_are_a_logistic_regression_on_standardised_features():
    x, y = simulated(60, 40)
    fitted = ElasticNetBaseline().fit(x, y)
    scaled = StandardScaler().fit(x).transform(x)
    strengths = [fitted.strength_ / 0.7, fitted.strength_]
    *_, (coefficients, intercept) = _path(scaled, y == 1, fitted.mixing_, strengths)
    expected = 1 / (1 + np.exp(-scaled @ coefficients - intercept))
    np.testing.assert_allclose(fitted.predict_proba(x)[:, 1], expected, atol=1e-3)
    np.testing.assert_array_equal(fitted.coefficients_[0], -fitted.coefficients_[1])


def test_few_features_count_where_few_matter():
    x, y = simulated(150, 300)
    fitted = ElasticNetBaseline().fit(x, y)
    kept = np.flatnonzero(fitted.coefficients_[1])
    assert {1, 3} <= set(kept)
    assert len(kept) < 100
    assert fitted.coefficients_[1, 1] < 0 < fitted.coefficients_[1, 3]


def test_genes_that_go_together_are_fitted_to_the_end():
    random = np.random.default_rng(0)
    n, d = 120, 200
    changes = (random.random((n, d)) < 0.005) * random.normal(size=(n, d))
    x = changes.cumsum(axis=1) + random.normal(size=(n, 1))  # as copy number along a chromosome
    y = (x[:, 50] - x[:, 150] + random.normal(scale=0.5, size=n) > 0).astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no fit stops short, in the inner search neither
        ElasticNetBaseline().fit(x, y)
        x, mixing = StandardScaler().fit_transform(x), 0.5
        *_, (coefficients, intercept) = _path(x, y == 1, mixing, (0.5, 0.2, 0.05))
    # At the minimum the slope of the loss balances that of the penalty, gene by gene.
    slopes = (_weights(y) * (1 / (1 + np.exp(-x @ coefficients - intercept)) - y)) @ x / len(y)
    penalty = 0.05 * _strongest(x, y, mixing)
    balance = slopes + penalty * (1 - mixing) * coefficients
    kept = coefficients != 0
    threshold = penalty * mixing
    np.testing.assert_allclose(balance[kept] / threshold, -np.sign(coefficients[kept]), atol=0.01)
    assert (np.abs(balance[~kept]) <= 1.01 * threshold).all()


def test_strength_and_mixing_are_chosen_on_training_patients():
    x, y = simulated(150, 300)
    chosen = ElasticNetBaseline().fit(x, y)
    pure_noise = ElasticNetBaseline().fit(np.random.default_rng(0).normal(size=x.shape), y)
    new, truth = simulated(400, 300, seed=1)
    assert roc_auc_score(truth, chosen.predict_proba(new)[:, 1]) > 0.9
    assert abs(roc_auc_score(truth, pure_noise.predict_proba(new)[:, 1]) - 0.5) < 0.2


def test_a_class_that_training_lacks_gets_probability_zero():
    x, y = simulated()
    y[y == 1] = 2
    model: Baseline = ElasticNetBaseline(n_classes=3)
    probabilities = model.fit(x, y).predict_proba(x)
    assert probabilities.shape == (90, 3)
    assert (probabilities[:, 1] == 0).all()


def test_a_class_of_one_patient_is_fitted_without_inner_folds():
    x, y = simulated(30)
    y[:] = 0
    y[3] = 1
    probabilities = ElasticNetBaseline().fit(x, y).predict_proba(x)
    assert probabilities[:, 1].argmax() == 3


def test_unusable_training_data_are_refused():
    x, y = simulated()
    with pytest.raises(InputError, match=r"values of shape \(90, 6\) for 89 labels"):
        ElasticNetBaseline().fit(x, y[:-1])


@pytest.mark.shared
def test_genes_of_the_real_cohort(tcga):
    values = read_genomic_table(tcga / "mrna_zscores.txt.gz", name="mRNA").values
    (training, y), (test, truth) = fold(tcga, "ER", values)
    scaler = GenomicPreprocessor(selection=SelectionSettings(method="all", n_genes=None)).fit(
        training
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # every fit of the inner search converges
        fitted = ElasticNetBaseline().fit(scaler.transform(training), y)
    assert roc_auc_score(truth, fitted.predict_proba(scaler.transform(test))[:, 1]) > 0.85
    assert 10 < np.count_nonzero(fitted.coefficients_[1]) < 500
