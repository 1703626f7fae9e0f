"""Variances and tests of AUCs without resampling.

E. R. DeLong, D. M. DeLong, D. L. Clarke-Pearson, "Comparing the areas under two or more correlated
receiver operating characteristic curves: a nonparametric approach", Biometrics 44 (1988) 837-845,
with the midrank computation of X. Sun and W. Xu, "Fast implementation of DeLong's algorithm for
comparing the areas under correlated receiver operating characteristic curves", IEEE Signal
Processing Letters 21 (2014) 1389-1393.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr

from histodistill.evaluation.answers import FloatArray


@dataclass(frozen=True)
class AucEstimates:
    """AUCs of k scores on the same patients.

    Attributes:
        aucs: [k].
        covariance: [k, k] of the AUCs; NaN where a class has fewer than two patients.
    """

    aucs: FloatArray
    covariance: FloatArray


@dataclass(frozen=True)
class PairedTest:
    """A two-sided test of the difference of two AUCs on the same patients.

    Attributes:
        difference: First AUC minus second.
        standard_error: Of the difference.
        z: The difference in standard errors; NaN where the standard error is 0 or undefined.
        p: Two-sided p-value; 1 for equal AUCs whose difference does not vary.
    """

    difference: float
    standard_error: float
    z: float
    p: float


def delong(y: npt.ArrayLike, scores: npt.ArrayLike) -> AucEstimates:
    """AUCs and their covariance, in O(k n log n).

    Args:
        y: [n], 1 (or True) for positive patients, otherwise 0. Both must be there.
        scores: [k, n] or [n], larger for positive.

    Raises:
        ValueError: A class has no patient, so that no AUC is defined.
    """
    positive = np.asarray(y).astype(bool)
    values = np.atleast_2d(np.asarray(scores, dtype=np.float64))
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        raise ValueError("an AUC needs patients of both classes")
    below_case, above_control = _placements(positive, values)
    covariance = _covariance(below_case) / m + _covariance(above_control) / n
    return AucEstimates(below_case.mean(axis=1), covariance)


def influence(y: npt.ArrayLike, scores: npt.ArrayLike) -> FloatArray:
    """How much each patient moves the AUC: deviation of the placement, over the class's number.

    The sums over each class are 0; the sum of squares, times m / (m - 1) in a class of m, is
    DeLong's variance. Influences of several scores on the same patients add up.

    Args:
        y: [n], 1 for positive patients, otherwise 0. Both must be there.
        scores: [n].

    Returns:
        [n].
    """
    positive = np.asarray(y).astype(bool)
    below_case, above_control = _placements(positive, np.atleast_2d(np.asarray(scores)))
    moved = np.empty(len(positive))
    for members, placement in ((positive, below_case[0]), (~positive, above_control[0])):
        moved[members] = (placement - placement.mean()) / len(placement)
    return moved


def delong_test(y: npt.ArrayLike, a: npt.ArrayLike, b: npt.ArrayLike) -> PairedTest:
    """Test whether two scores of the same patients have the same AUC.

    Args:
        y: [n], 1 for positive patients.
        a: [n] scores of the first.
        b: [n] scores of the second.

    Raises:
        ValueError: A class has no patient.
    """
    estimates = delong(y, np.stack([np.asarray(a), np.asarray(b)]))
    contrast = np.array([1.0, -1.0])
    variance = float(contrast @ estimates.covariance @ contrast)
    return paired_test(float(estimates.aucs[0] - estimates.aucs[1]), variance)


def paired_test(difference: float, variance: float) -> PairedTest:
    """Test whether a difference of AUCs with this variance is 0."""
    # Rounding may leave a variance that is 0 slightly below it.
    error = max(variance, 0.0) ** 0.5 if variance == variance else float("nan")
    if error > 1e-12:
        z = difference / error
        return PairedTest(difference, error, z, float(2 * ndtr(-abs(z))))
    equal = error == 0 and abs(difference) < 1e-12
    return PairedTest(difference, error, float("nan"), 1.0 if equal else float("nan"))


def _placements(
    positive: npt.NDArray[np.bool_], values: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Share of controls below each case (V10) [k, m], of cases above each control (V01) [k, n]."""
    cases, controls = values[:, positive], values[:, ~positive]
    m, n = cases.shape[1], controls.shape[1]
    ranks = _midranks(np.concatenate([cases, controls], axis=1))
    below_case = (ranks[:, :m] - _midranks(cases)) / n
    above_control = 1 - (ranks[:, m:] - _midranks(controls)) / m
    return below_case, above_control


def _midranks(values: FloatArray) -> FloatArray:
    """Ranks [k, n] of the values in each row, from 1; equal values share their mean rank."""
    return pd.DataFrame(values.T).rank().to_numpy().T


def _covariance(components: FloatArray) -> FloatArray:
    """[k, k] sample covariance of the rows; NaN for a single column."""
    k, n = components.shape
    if n < 2:
        return np.full((k, k), np.nan)
    return np.atleast_2d(np.cov(components))
