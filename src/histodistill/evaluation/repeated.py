"""Two methods over repeated cross-validation: a test that knows that divisions share patients."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from histodistill.errors import InputError

_DIVISION = ["repeat", "fold"]


@dataclass(frozen=True)
class ResampledTest:
    """The corrected resampled t-test of differences between two methods.

    Attributes:
        difference: Mean difference over repeats and folds.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p: Two-sided p-value.
        n: Differences, repeats times folds.
    """

    difference: float
    low: float
    high: float
    p: float
    n: int


def resampled_test(
    differences: npt.ArrayLike, test_share: float, confidence: float = 0.95
) -> ResampledTest:
    """Test whether the mean of differences over repeats and folds is zero.

    Folds of one division share most of their training patients, and divisions share all patients,
    so that differences are no independent draws and an ordinary t-test finds far too much. Their
    variance is widened by the share of tested to trained patients: ``(1/n + test/train) s²``
    (C. Nadeau and Y. Bengio, Machine Learning 52 (2003) 239-281, equation 9; for repeated
    cross-validation R. Bouckaert and E. Frank, PAKDD 2004).

    Args:
        differences: One a repeat and fold, (n,).
        test_share: Share of patients that a fold tests: 0.2 with five folds.
        confidence: Confidence of the interval.

    Raises:
        InputError: Fewer than two differences, some of them not finite, or no share.
    """
    from scipy import stats

    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise InputError("A test over folds needs two differences or more, all of them finite.")
    if not 0 < test_share < 1:
        raise InputError(f"The share of patients that a fold tests lies in 0..1, not {test_share}.")
    mean, n = float(values.mean()), len(values)
    ratio = test_share / (1 - test_share)
    error = math.sqrt((1 / n + ratio) * float(values.var(ddof=1)))
    half = error * float(stats.t.ppf((1 + confidence) / 2, n - 1))
    if error == 0:
        return ResampledTest(mean, mean, mean, float(mean == 0), n)
    p = 2 * float(stats.t.sf(abs(mean) / error, n - 1))
    return ResampledTest(mean, mean - half, mean + half, p, n)


def fold_differences(
    fits: pd.DataFrame, target: str, network: str, method: str, reference: str
) -> npt.NDArray[np.float64]:
    """AUC of a method less that of another on the same folds, each the mean over its seeds.

    Args:
        fits: The table of :func:`fold_aucs`.
        target: The target.
        network: The network that answers.
        method: The method.
        reference: The method that it is compared with.

    Returns:
        One difference a repeat and fold, (n,); folds that one of them lacks are left out.
    """
    asked = fits[(fits["target"] == target) & (fits["network"] == network)]
    aucs = asked.pivot_table(index=_DIVISION, columns="method", values="auc", dropna=False)
    both = aucs.reindex(columns=[method, reference]).dropna()
    return (both[method] - both[reference]).to_numpy(dtype=np.float64)
