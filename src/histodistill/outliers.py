"""Who, or what, stands apart from all others in one figure, beyond what is chance or biology."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]

# Of normal figures the best cut into two gives 2.7 standard deviations between the means, of
# uniform ones 3.5; the few patients of a small cohort can give more by chance.
_TWO_GROUPS, _TWO_GROUPS_FEW = 5.0, 20.0
# A few patients, against the robust standard deviation of all; biology sets single ones farther
# apart than groups.
_FAR, _SINGLE = 8.0, 1.5
_MOST_FAR = 0.25
_FEWEST_PATIENTS = 20


def apart(figures: Figures, least: float) -> NDArray[np.bool_]:
    """Who stands apart: single ones far from all others, or the smaller of two clear groups.

    Args:
        figures: One figure of each of n patients, or slides.
        least: Groups nearer to each other than this, and single ones within one and a half times
            as much, do not stand apart.

    Returns:
        bool [n]; nobody among fewer than 20 patients, whose figures show no rule.
    """
    if len(figures) < _FEWEST_PATIENTS:
        return np.zeros(len(figures), bool)
    middle = np.median(figures)
    spread = 1.4826 * float(np.median(np.abs(figures - middle)))
    distance = np.abs(figures - middle)
    single = np.asarray((distance > _FAR * spread) & (distance > _SINGLE * least))
    if 0 < single.mean() <= _MOST_FAR:
        return single
    return _smaller_of_two(figures, least)


def _smaller_of_two(figures: Figures, least: float) -> NDArray[np.bool_]:
    """The smaller of the two groups with the least variance within, if they are clear."""
    ordered = np.sort(figures)
    n = len(ordered)
    below = np.arange(1, n)
    sums = np.cumsum(ordered)
    lower, upper = sums[:-1] / below, (sums[-1] - sums[:-1]) / (n - below)
    within = np.square(ordered).sum() - below * lower**2 - (n - below) * upper**2
    best = int(np.argmin(within))
    between = upper[best] - lower[best]
    spread = np.sqrt(max(float(within[best]), 0.0) / (n - 2))
    enough = (_TWO_GROUPS + _TWO_GROUPS_FEW / n) * spread
    if between < max(enough, least):
        return np.zeros(n, bool)
    low = figures <= ordered[best]
    return np.asarray(low if low.sum() <= n / 2 else ~low)
