"""The curves behind the plots: ROC, precision-recall, reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histodistill.evaluation.answers import Answers, FloatArray
from histodistill.evaluation.intervals import resamples
from histodistill.evaluation.metrics import CALIBRATION_BINS, BoolArray, calibration_bin
from histodistill.evaluation.runs import Runs

GRID = np.linspace(0, 1, 201)
_BAND_RESAMPLES = 500
_TAILS = (0.025, 0.975)


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
    """Observed frequency against predicted probability, smoothed, with its 95 % bootstrap band.

    Attributes:
        grid: [g] predicted probabilities, from the least of the patients' to the greatest.
        observed: [g] share of positive patients there, from a local line with Gaussian weights.
        low: [g] lower limit.
        high: [g] upper limit.
        counts: [10] patients in each tenth of the probability.
    """

    grid: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    counts: FloatArray


def roc_curve(runs: Runs, seed: int = 0) -> RocCurve:
    """The ROC curve of two classes, both with patients; of several runs the mean at each rate.

    The band draws patients and takes the curves' pointwise percentiles.
    """
    drawn = [_mean_roc(runs, weights) for weights in resamples(runs.y, _BAND_RESAMPLES, seed)]
    low, high = np.quantile(np.concatenate(drawn), _TAILS, axis=0)
    if len(runs.runs) > 1:
        mean = _mean_roc(runs, np.ones((1, len(runs))))[0]
        return RocCurve(np.append(0.0, GRID), np.append(0.0, mean), GRID, low, high)
    (only,) = runs.runs
    x, y = _rates(only.y == 1, only.positive, np.ones((1, len(only))))
    return RocCurve(x[0], y[0], GRID, low, high)


def precision_recall_curve(runs: Runs) -> PrecisionRecallCurve:
    """The precision-recall curve of two classes, both with patients; the mean of several runs."""
    curves = [_precision_recall(run) for run in runs.runs]
    prevalence = float((runs.y == 1).mean())
    if len(curves) == 1:
        return PrecisionRecallCurve(*curves[0], prevalence)
    steps = [precision[np.searchsorted(recall, GRID)] for recall, precision in curves]
    return PrecisionRecallCurve(GRID, np.mean(steps, axis=0), prevalence)


def reliability_curve(runs: Runs, seed: int = 0) -> ReliabilityCurve:
    """The reliability curve of the positive class's probability (two classes), over all runs."""
    p = np.concatenate([run.positive for run in runs.runs])
    y = np.concatenate([run.y for run in runs.runs]).astype(np.float64)
    place = {name: i for i, name in enumerate(runs.patients)}
    patient = np.array([place[name] for run in runs.runs for name in run.patients])
    grid = np.linspace(p.min(), p.max(), len(GRID))
    # Silverman's rule, but no finer than probabilities are read.
    width = max(0.05, 1.06 * float(p.std()) * len(runs) ** -0.2)
    kernel = np.exp(-0.5 * ((grid[:, None] - p) / width) ** 2)
    drawn = [
        _local_line(grid, p, y, kernel, weights[:, patient])
        for weights in resamples(runs.y, _BAND_RESAMPLES, seed)
    ]
    low, high = np.quantile(np.concatenate(drawn), _TAILS, axis=0)
    observed = _local_line(grid, p, y, kernel, np.ones((1, len(p))))[0]
    counts = np.bincount(calibration_bin(p), minlength=CALIBRATION_BINS) / len(runs.runs)
    return ReliabilityCurve(grid, observed, low, high, counts)


def _local_line(
    grid: FloatArray, p: FloatArray, y: FloatArray, kernel: FloatArray, weights: FloatArray
) -> FloatArray:
    """[B, g] height at each point of the line fitted to the patients near it, within 0 to 1."""
    away = p - grid[:, None]
    n, first, second = (weights @ (kernel * away**k).T for k in range(3))
    of_y, of_slope = (weights @ (kernel * away**k * y).T for k in range(2))
    spread = n * second - first**2
    level = of_y / np.maximum(n, 1e-300)
    line = (second * of_y - first * of_slope) / np.where(spread > 0, spread, 1.0)
    return np.clip(np.where(spread > 1e-9 * n**2, line, level), 0, 1)


def _mean_roc(runs: Runs, weights: FloatArray) -> FloatArray:
    """[B, g] true positive rate on the grid, the mean over runs."""
    of_run = [
        [_at_grid(x, y) for x, y in zip(*_rates(run.y == 1, run.positive, own), strict=True)]
        for run, own in runs.weighted(weights)
    ]
    return np.asarray(np.mean(of_run, axis=0))


def _precision_recall(answers: Answers) -> tuple[FloatArray, FloatArray]:
    case, p = answers.y == 1, answers.positive
    false_positive, recall = (rate[0] for rate in _rates(case, p, np.ones((1, len(p)))))
    true, false = recall * case.sum(), false_positive * (~case).sum()
    precision = true[1:] / (true + false)[1:]
    return recall, np.concatenate([precision[:1], precision])


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
