"""The curves behind the plots: ROC, precision-recall, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from histodistill.evaluation.answers import Answers, FloatArray
from histodistill.evaluation.intervals import percentile_interval, resamples
from histodistill.evaluation.metrics import CALIBRATION_BINS, BoolArray, calibration_bin

GRID = np.linspace(0, 1, 201)
_BAND_RESAMPLES = 500


@dataclass(frozen=True)
class RocCurve:
    """An ROC curve with its pointwise 95 % bootstrap band.

    Attributes:
        false_positive: [k] false positive rate at each distinct probability, from 0 to 1.
        true_positive: [k] true positive rate there.
        grid: [g] false positive rates of the band.
        low: [g] lower limit of the true positive rate.
        high: [g] upper limit.
    """

    false_positive: FloatArray
    true_positive: FloatArray
    grid: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """Precision at each recall reached, steps of average precision.

    Attributes:
        recall: [k] ascending from 0.
        precision: [k] precision of the step that ends at that recall.
        prevalence: Share of positive patients: the precision of a guess.
    """

    recall: FloatArray
    precision: FloatArray
    prevalence: float


@dataclass(frozen=True)
class ReliabilityCurve:
    """Observed frequency against predicted probability, in the bins of the calibration error.

    Attributes:
        predicted: [k] mean probability of each bin that has patients.
        observed: [k] share of positive patients there.
        low: [k] lower limit of its 95 % Clopper-Pearson interval.
        high: [k] upper limit.
        counts: [10] patients in each bin, empty ones included.
    """

    predicted: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    counts: FloatArray


def roc_curve(answers: Answers, seed: int = 0) -> RocCurve:
    """The ROC curve of two classes, both with patients.

    The band draws patients within classes and takes the curves' pointwise percentiles.
    """
    case, p = answers.y == 1, answers.positive
    false_positive, true_positive = _rates(case, p, np.ones((1, len(p))))
    drawn = []
    for weights in resamples(answers.y, _BAND_RESAMPLES, seed):
        for x, y in zip(*_rates(case, p, weights), strict=True):
            drawn.append(_at_grid(x, y))
    limits = [percentile_interval(column) for column in np.stack(drawn).T]
    low, high = np.array(limits).T
    return RocCurve(false_positive[0], true_positive[0], GRID, low, high)


def precision_recall_curve(answers: Answers) -> PrecisionRecallCurve:
    """The precision-recall curve of two classes, both with patients."""
    case, p = answers.y == 1, answers.positive
    false_positive, recall = (rate[0] for rate in _rates(case, p, np.ones((1, len(p)))))
    true, false = recall * case.sum(), false_positive * (~case).sum()
    precision = true[1:] / (true + false)[1:]
    first = precision[:1]
    return PrecisionRecallCurve(recall, np.concatenate([first, precision]), float(case.mean()))


def reliability_curve(answers: Answers) -> ReliabilityCurve:
    """The reliability curve of the positive class's probability (two classes)."""
    in_bin = np.eye(CALIBRATION_BINS)[calibration_bin(answers.positive)]
    counts = in_bin.sum(axis=0)
    used = counts > 0
    n = counts[used]
    positives = (in_bin[answers.y == 1].sum(axis=0))[used]
    return ReliabilityCurve(
        predicted=(answers.positive @ in_bin)[used] / n,
        observed=positives / n,
        low=np.nan_to_num(beta.ppf(0.025, positives, n - positives + 1), nan=0.0),
        high=np.nan_to_num(beta.ppf(0.975, positives + 1, n - positives), nan=1.0),
        counts=counts,
    )


def _rates(case: BoolArray, p: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """False and true positive rates [B, k], from none called positive to all."""
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.concatenate([p[order][1:] < p[order][:-1], [True]]))
    true = np.cumsum((weights * case)[:, order], axis=1)[:, last]
    false = np.cumsum((weights * ~case)[:, order], axis=1)[:, last]
    none = np.zeros((len(weights), 1))
    return (
        np.hstack([none, false / false[:, -1:]]),
        np.hstack([none, true / true[:, -1:]]),
    )


def _at_grid(false_positive: FloatArray, true_positive: FloatArray) -> FloatArray:
    """[g] true positive rate on the grid, the best one where the curve rises straight up."""
    last = np.searchsorted(false_positive, GRID, side="right") - 1
    beyond = np.minimum(last + 1, len(false_positive) - 1)
    width = false_positive[beyond] - false_positive[last]
    share = np.divide(GRID - false_positive[last], width, out=np.zeros_like(GRID), where=width > 0)
    return true_positive[last] + share * (true_positive[beyond] - true_positive[last])
