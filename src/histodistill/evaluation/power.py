"""What a cohort can tell at all: the smallest difference of two AUCs that a paired test finds.

Computed before any model is trained, from the numbers of patients and stated assumptions alone.
The standard error of an AUC is that of J. A. Hanley and B. J. McNeil, "The meaning and use of the
area under a receiver operating characteristic (ROC) curve", Radiology 143 (1982) 29-36; that of
the difference of two correlated ones is of the same authors, Radiology 148 (1983) 839-843.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.special import ndtri, owens_t


def auc_standard_error(auc: float, n_positive: int, n_negative: int) -> float:
    """Standard error of an AUC, by Hanley and McNeil's formula (1982).

    With A the AUC, and Q the chance that two patients of one class both rank rightly against one
    of the other::

        SE² = [A (1 - A) + (n+ + n- - 2)(Q - A²)] / (n+ n-)

    Q is that of normal scores with equal variances, Q = A - 2 T(z, 1 / √3) with A = Φ(z) and T
    Owen's function. The source approximates it by exponential scores, which makes SE up to a third
    larger where the positives are few.

    Args:
        auc: The AUC, from 0.5 to 1.
        n_positive: Positive patients, at least 1.
        n_negative: Negative patients, at least 1.
    """
    both = auc - 2 * float(owens_t(float(ndtri(auc)), 1 / math.sqrt(3)))
    spread = auc * (1 - auc) + (n_positive + n_negative - 2) * (both - auc**2)
    return math.sqrt(max(0.0, spread) / (n_positive * n_negative))


def detectable_difference(
    n_positive: int,
    n_negative: int,
    *,
    auc: float = 0.75,
    correlation: float = 0.5,
    power: float = 0.8,
    level: float = 0.05,
) -> float | None:
    """The smallest difference of two models' AUCs that a two-sided paired test finds.

    It solves d = (z(1 - level / 2) + z(power)) · sqrt(s² + s'² - 2 r s s') with s the standard
    error at ``auc``, s' that at ``auc`` + d, and r the correlation of the two AUCs.

    Args:
        n_positive: Positive patients whom both models answer.
        n_negative: Negative ones.
        auc: AUC of the weaker model.
        correlation: Correlation r of the two AUCs on the same patients.
        power: Chance to find the difference if it is there.
        level: Chance to find one if there is none.

    Returns:
        The difference; None where even a perfect model could not be told from the weaker one.
    """
    if min(n_positive, n_negative) < 1:
        return None
    reach = float(ndtri(1 - level / 2) + ndtri(power))
    weaker = auc_standard_error(auc, n_positive, n_negative)

    def missing(difference: float) -> float:
        better = auc_standard_error(auc + difference, n_positive, n_negative)
        variance = weaker**2 + better**2 - 2 * correlation * weaker * better
        return reach * math.sqrt(variance) - difference

    most = 1 - auc
    return None if missing(most) > 0 else float(brentq(missing, 0, most))
