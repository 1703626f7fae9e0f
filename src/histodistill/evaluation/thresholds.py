"""The operating threshold, chosen on validation patients."""

from __future__ import annotations

import warnings
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from histodistill.evaluation.answers import FloatArray

ThresholdRule = Literal["youden", "balanced_accuracy", "f1", "sensitivity@0.95"]
RULES: tuple[ThresholdRule, ...] = get_args(ThresholdRule)
FALLBACK = 0.5


def choose_threshold(
    y: npt.ArrayLike, positive: npt.ArrayLike, rule: ThresholdRule = "youden"
) -> float:
    """The threshold at or above which a patient is called positive.

    Candidates lie halfway between neighbouring probabilities, and one lies below them all. Of
    equally good candidates the one in the widest gap wins (it is the most robust to small
    changes of the probabilities), then the lowest.

    Args:
        y: [n], 1 for positive validation patients, otherwise 0.
        positive: [n], their probability of the positive class.
        rule: ``youden`` (sensitivity + specificity - 1) and ``balanced_accuracy`` (half their
            sum) choose the same threshold, ``f1`` maximises F1 of the positive class, and
            ``sensitivity@0.95`` takes the best specificity at a sensitivity of 0.95 or more.

    Returns:
        The threshold, in [0, 1]. With one class alone nothing can be chosen: 0.5, and a
        ``UserWarning`` says so.

    Raises:
        ValueError: The rule is not one of these.
    """
    if rule not in RULES:
        raise ValueError(f"unknown threshold rule {rule!r}; expected one of {', '.join(RULES)}")
    cases = np.asarray(y).astype(bool)
    p = np.asarray(positive, dtype=np.float64)
    if cases.all() or not cases.any():
        warnings.warn(
            f"The validation patients ({len(p)}) have one class alone: no operating threshold "
            f"can be chosen, and {FALLBACK} is taken.",
            stacklevel=2,
        )
        return FALLBACK
    candidates, gaps = _candidates(p)
    called = p >= candidates[:, None]
    merit = _merit(rule, called, cases)
    best = np.flatnonzero(np.isclose(merit, merit.max(), rtol=0, atol=1e-12))
    return float(candidates[best[np.argmax(gaps[best])]])


def _candidates(p: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Ascending thresholds that tell the distinct probabilities apart, and their gaps' widths."""
    upper = np.unique(p)
    lower = np.concatenate([[0.0], upper[:-1]])
    middle = (lower + upper) / 2
    # Between neighbouring floats the middle may round down to the lower one.
    middle = np.where(middle > lower, middle, upper)
    return middle, upper - lower


def _merit(rule: str, called: npt.NDArray[np.bool_], cases: npt.NDArray[np.bool_]) -> FloatArray:
    """What the rule maximises, for each row of calls [candidates, n]."""
    true = (called & cases).sum(axis=1)
    sensitivity = true / cases.sum()
    specificity = (~called & ~cases).sum(axis=1) / (~cases).sum()
    if rule == "f1":
        return np.asarray(2 * true / (called.sum(axis=1) + cases.sum()))
    if rule == "sensitivity@0.95":
        return np.where(sensitivity >= 0.95, specificity, -1.0)
    return np.asarray(sensitivity + specificity - 1)
