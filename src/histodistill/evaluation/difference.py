"""The difference of two AUCs on the same patients, at the least cost."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.delong import PairedTest, paired_test
from histodistill.evaluation.intervals import (
    RESAMPLES,
    bootstrap_p,
    percentile_interval,
    resamples,
)
from histodistill.evaluation.runs import Runs, variance_of

REACH = float(ndtri(0.975))


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
    contender: Runs, reference: Runs, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Compare two methods' mean AUCs over their runs, on the patients that both answer.

    The same test as ``compare``, whose interval is always the bootstrap's: here two classes need
    no resampling, so that many methods are compared in little time.

    Args:
        contender: Runs of the one.
        reference: Runs of the other, with the same classes.
        n_resamples: Bootstrap resamples, beyond two classes.
        seed: Seed of the bootstrap.
    """
    shared = sorted(set(contender.patients) & set(reference.patients))
    a, b = contender.of(shared), reference.of(shared)
    if not shared or a.missing_classes() or b.missing_classes():
        return Difference(len(shared))
    everybody = np.ones((1, len(a)))
    aucs = float(a.aucs(everybody)[0]), float(b.aucs(everybody)[0])
    if a.binary:
        test = delong_difference(a, b)
        reach = REACH * test.standard_error
        limits = test.difference - reach, test.difference + reach
        return Difference(len(a), *aucs, test.difference, *limits, p_delong=test.p)
    drawn = drawn_differences(a, b, n_resamples, seed)
    limits = percentile_interval(drawn)
    return Difference(len(a), *aucs, aucs[0] - aucs[1], *limits, p_bootstrap=bootstrap_p(drawn))


def delong_difference(a: Runs, b: Runs) -> PairedTest:
    """DeLong's test of the mean AUCs over runs, for two classes and the same patients."""
    everybody = np.ones((1, len(a)))
    difference = float(a.aucs(everybody)[0] - b.aucs(everybody)[0])
    return paired_test(difference, variance_of(a.influence() - b.influence(), a.y))


def drawn_differences(a: Runs, b: Runs, n_resamples: int, seed: int) -> FloatArray:
    """[n_resamples] differences of mean AUCs, the same patients drawn for both."""
    return np.concatenate([a.aucs(w) - b.aucs(w) for w in resamples(a.y, n_resamples, seed)])
