"""The difference of two AUCs on the same patients, at the least cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from histodistill.evaluation.answers import Answers
from histodistill.evaluation.delong import delong_test
from histodistill.evaluation.intervals import (
    RESAMPLES,
    bootstrap_p,
    percentile_interval,
    resamples,
)
from histodistill.evaluation.metrics import roc_auc, weighted_auc

REACH = float(norm.ppf(0.975))


class Difference(NamedTuple):
    """The first AUC minus the second, on the ``n_patients`` that both answer.

    ``low`` to ``high`` is the 95 % interval. Two classes have DeLong's interval and p-value, more
    classes the bootstrap's; the other p-value is NaN. All is NaN where no AUC is defined: no
    patient in common, or a class without any.
    """

    n_patients: int
    auc: float = float("nan")
    auc_reference: float = float("nan")
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    p_delong: float = float("nan")
    p_bootstrap: float = float("nan")


def auc_difference(
    contender: Answers, reference: Answers, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Compare two sets of answers of one target on the patients that both answer.

    The same test as ``compare``, whose interval is always the bootstrap's: here two classes need
    no resampling, so that many methods are compared in little time.

    Args:
        contender: Answers of the one.
        reference: Answers of the other, with the same classes.
        n_resamples: Bootstrap resamples, beyond two classes.
        seed: Seed of the bootstrap.
    """
    shared = sorted(set(contender.patients) & set(reference.patients))
    a, b = contender.of(shared), reference.of(shared)
    if not shared or a.missing_classes():
        return Difference(len(shared))
    if a.binary:
        return _by_delong(a, b)
    return _by_bootstrap(a, b, n_resamples, seed)


def _by_delong(a: Answers, b: Answers) -> Difference:
    test = delong_test(a.y, a.positive, b.positive)
    reach = REACH * test.standard_error
    limits = test.difference - reach, test.difference + reach
    aucs = roc_auc(a.y, a.positive), roc_auc(b.y, b.positive)
    return Difference(len(a), *aucs, test.difference, *limits, p_delong=test.p)


def _by_bootstrap(a: Answers, b: Answers, n_resamples: int, seed: int) -> Difference:
    drawn = np.concatenate(
        [weighted_auc(a, w) - weighted_auc(b, w) for w in resamples(a.y, n_resamples, seed)]
    )
    aucs = roc_auc(a.y, a.probabilities), roc_auc(b.y, b.probabilities)
    limits = percentile_interval(drawn)
    return Difference(len(a), *aucs, aucs[0] - aucs[1], *limits, p_bootstrap=bootstrap_p(drawn))
