"""What a cohort can tell, against simulated cohorts and limits."""

import numpy as np
import pytest
from scipy.stats import norm

from histodistill.evaluation import delong_test, roc_auc
from histodistill.evaluation.power import auc_standard_error, detectable_difference


def scores(rng, n_positive, n_negative, aucs, shared):
    """Binormal scores of two models with the given AUCs, correlated within each class."""
    y = np.repeat([1, 0], [n_positive, n_negative])
    cov = [[1, shared], [shared, 1]]
    drawn = rng.multivariate_normal([0, 0], cov, size=len(y))
    return y, drawn + y[:, None] * np.sqrt(2) * norm.ppf(aucs)


@pytest.mark.parametrize(("auc", "n_positive", "n_negative"), [(0.75, 60, 396), (0.85, 40, 60)])
def test_the_standard_error_is_that_of_simulated_cohorts(auc, n_positive, n_negative):
    rng = np.random.default_rng(0)
    drawn = [
        roc_auc(y, s[:, 0])
        for y, s in (scores(rng, n_positive, n_negative, [auc, auc], 0) for _ in range(600))
    ]
    assert np.std(drawn) == pytest.approx(auc_standard_error(auc, n_positive, n_negative), rel=0.12)


def test_the_difference_is_found_as_often_as_said():
    """A paired DeLong test on cohorts whose AUCs correlate as supposed."""
    difference = detectable_difference(60, 396)
    assert difference is not None
    rng = np.random.default_rng(1)
    found, pairs = [], []
    for _ in range(400):
        y, s = scores(rng, 60, 396, [0.75, 0.75 + difference], 0.53)
        found.append(delong_test(y, s[:, 1], s[:, 0]).p < 0.05)
        pairs.append((roc_auc(y, s[:, 0]), roc_auc(y, s[:, 1])))
    assert np.corrcoef(np.transpose(pairs))[0, 1] == pytest.approx(0.5, abs=0.1)
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_more_patients_tell_more_and_few_tell_nothing():
    many, some = detectable_difference(200, 200), detectable_difference(50, 50)
    assert many is not None
    assert some is not None
    assert many < some
    assert detectable_difference(3, 3) is None
    assert detectable_difference(0, 100) is None
    closer = detectable_difference(50, 50, correlation=0.8)
    assert closer is not None
    assert closer < some
