"""The interval of a single AUC.

R. G. Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
statistic. Part 2: asymptotic methods and evaluation", Statistics in Medicine 25 (2006) 559-573,
method 5: the values theta from which the AUC is not further than z standard errors, with the
variance that J. A. Hanley and B. J. McNeil, Radiology 143 (1982) 29-36, give for theta. That
variance is a model's; where the data vary more (unequal spread, skewed scores), it is multiplied
by the ratio of DeLong's variance to it. `experiments/coverage.py` compares the coverage with that
of the other intervals; docs/statistics.md has its table.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from histodistill.evaluation.answers import FloatArray

_HALVINGS = 50


def auc_interval(
    auc: npt.ArrayLike,
    variance: npt.ArrayLike,
    n_positive: int,
    n_negative: int,
    level: float = 0.95,
) -> tuple[FloatArray, FloatArray]:
    """Score interval of an AUC, or of many of the same numbers of patients.

    It is defined for an AUC of exactly 0 or 1, and where all scores are equal (AUC 0.5, DeLong's
    variance 0): the model's variance alone then tells the uncertainty.

    Args:
        auc: [...] AUCs.
        variance: [...] DeLong's variance of each; NaN where a class has a single patient.
        n_positive: Positive patients, at least one.
        n_negative: Negative patients, at least one.
        level: Nominal coverage.

    Returns:
        Lower and upper limit, [...].
    """
    value = np.asarray(auc, dtype=np.float64)
    model = _variance(value, n_positive, n_negative)
    ratio = np.divide(variance, model, out=np.ones_like(value), where=model > 0)
    # fmax: a variance that is undefined leaves the model's.
    wider = np.fmax(ratio, 1.0)
    reach = float(ndtri(0.5 + level / 2))

    def limit(end: float) -> FloatArray:
        """The last value between the AUC and the end that is near enough, by bisection."""
        near, far = value, np.full_like(value, end)
        for _ in range(_HALVINGS):
            middle = (near + far) / 2
            error = np.sqrt(wider * _variance(middle, n_positive, n_negative))
            within = np.abs(value - middle) <= reach * error
            near, far = np.where(within, middle, near), np.where(within, far, middle)
        return near

    return limit(0.0), limit(1.0)


def _variance(auc: FloatArray, n_positive: int, n_negative: int) -> FloatArray:
    """Hanley and McNeil's variance, the two classes exchangeable (Newcombe's method 5)."""
    half = (n_positive + n_negative) / 2 - 1
    spread = 1 + half * (1 - auc) / (2 - auc) + half * auc / (1 + auc)
    return np.asarray(auc * (1 - auc) * spread / (n_positive * n_negative))
