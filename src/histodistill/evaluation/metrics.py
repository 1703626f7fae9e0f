"""Metrics of weighted patients, many weightings at once.

Every metric takes weights [B, n] (patients' multiplicities in B resamples) and returns B values,
so that one implementation gives both the estimate (weights of one) and its bootstrap in matrix
products. scikit-learn has the same metrics one weighting at a time; the tests hold these to it.

A metric that is undefined, because a class has no patient, is NaN, and ``score`` says why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histodistill.evaluation.answers import Answers, FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]

RANKING = ("auc", "average_precision")
"""Metrics of the order of the probabilities."""

CALLING = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "f1", "kappa")
"""Metrics of the calls at the operating threshold."""

CALIBRATION = ("brier", "ece")
"""Metrics of the probabilities themselves; smaller is better."""

METRICS = (*RANKING, *CALLING, *CALIBRATION)
CALIBRATION_BINS = 10


@dataclass(frozen=True)
class Scores:
    """Metrics of one set of patients.

    Attributes:
        metrics: Each metric's value, NaN where it is undefined.
        notes: Why metrics are undefined; empty when all are defined.
    """

    metrics: dict[str, float]
    notes: tuple[str, ...]


def score(answers: Answers) -> Scores:
    """All metrics of one set of patients.

    Two classes: AUC, average precision, sensitivity (recall of the positive class), specificity,
    F1 of the positive class, Cohen's kappa, Brier score (mean squared error of the positive
    class's probability), expected calibration error (10 equal-width bins of that probability).

    More classes: AUC, average precision, sensitivity, specificity and F1 are unweighted means of
    one class against the rest, and ``auc:CLASS``, ``average_precision:CLASS`` each class's own;
    the Brier score sums over the classes; the calibration error is of the called class.
    """
    if len(answers) == 0:
        return Scores(dict.fromkeys(METRICS, float("nan")), ("no labelled patient with an answer",))
    values = weighted_metrics(answers, np.ones((1, len(answers))))
    notes = [f"no {name} patient" for name in answers.missing_classes()]
    if not answers.has_calls:
        notes.append("no operating threshold")
    return Scores({name: float(value[0]) for name, value in values.items()}, tuple(notes))


def weighted_metrics(answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    """All metrics under each row of weights.

    Args:
        answers: n patients.
        weights: [B, n], each patient's multiplicity.

    Returns:
        For each metric, [B] values, NaN where undefined.
    """
    values = _ranking(answers, weights)
    if answers.has_calls:
        counts = confusion(answers.y, answers.calls, weights, len(answers.classes))
        values |= _calling(counts)
    else:
        values |= dict.fromkeys(CALLING, np.full(len(weights), np.nan))
    values["brier"] = brier(answers, weights)
    values["ece"] = calibration_error(answers, weights)
    return values


def roc_auc(y: npt.ArrayLike, probabilities: npt.ArrayLike) -> float:
    """AUC of one set of patients, NaN where a class is missing.

    Args:
        y: [n] class indices.
        probabilities: [n] of the positive class, or [n, C]: the positive column of two, or the
            unweighted mean of one class against the rest for more.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    p = np.column_stack([1 - p, p]) if p.ndim == 1 else p
    classes = np.asarray(y, dtype=np.int64)
    ones = np.ones((1, len(p)))
    columns = [1] if p.shape[1] == 2 else range(p.shape[1])
    return float(np.mean([auc(classes == k, p[:, k], ones)[0] for k in columns]))


def weighted_auc(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] AUC under each row of weights, as ``score`` defines it for two or more classes."""
    by_class = np.stack(list(_against_rest(auc, answers, weights).values()))
    return np.asarray(by_class.mean(axis=0))


def auc(positive: BoolArray, scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Area under the ROC curve: the Mann-Whitney probability, a tie counting one half.

    Args:
        positive: [n], whether each patient is positive.
        scores: [n], larger for positive.
        weights: [B, n].

    Returns:
        [B], NaN where either side has no weight.
    """
    positives, negatives = _weight_by_score(positive, scores, weights)
    below = np.cumsum(negatives, axis=1) - 0.5 * negatives
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return _ratio((positives * below).sum(axis=1), pairs)


def average_precision(positive: BoolArray, scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Precision averaged over the steps of recall, without interpolation.

    Args and result as ``auc``; NaN where either side has no weight, since with no negative the
    value would be 1 whatever the scores.
    """
    positives, negatives = _weight_by_score(positive, scores, weights)
    true = np.cumsum(positives[:, ::-1], axis=1)
    called = true + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    gained = (precision * positives[:, ::-1]).sum(axis=1)
    value = _ratio(gained, positives.sum(axis=1))
    return np.where(negatives.sum(axis=1) > 0, value, np.nan)


def confusion(y: IntArray, calls: IntArray, weights: FloatArray, n_classes: int) -> FloatArray:
    """[B, C, C] weight of patients by true class (rows) and called class (columns)."""
    cell = np.eye(n_classes**2)[y * n_classes + calls]
    return np.reshape(weights @ cell, (-1, n_classes, n_classes))


def brier(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] Brier score: of the positive class for two classes, summed over classes for more."""
    squared = (answers.probabilities - np.eye(len(answers.classes))[answers.y]) ** 2
    error = squared[:, 1] if answers.binary else squared.sum(axis=1)
    return _ratio(weights @ error, weights.sum(axis=1))


def calibration_error(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] expected calibration error over 10 equal-width bins.

    The mean over patients of | observed frequency - mean probability | of the patient's bin: of
    the positive class for two classes, of the called (most probable) class for more (Guo et al.,
    ICML 2017).
    """
    if answers.binary:
        p, observed = answers.positive, answers.y == 1
    else:
        p, observed = answers.probabilities.max(axis=1), answers.y == answers.calls
    in_bin = np.eye(CALIBRATION_BINS)[calibration_bin(p)]
    gaps = weights @ (in_bin * (observed - p)[:, None])
    return _ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def calibration_bin(p: FloatArray) -> IntArray:
    """[n] bin of each probability: [0, .1), [.1, .2), ... [.9, 1]."""
    edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    return np.digitize(p, edges).astype(np.int64)


def _ranking(answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    values: dict[str, FloatArray] = {}
    for name, metric in (("auc", auc), ("average_precision", average_precision)):
        of_class = _against_rest(metric, answers, weights)
        values[name] = np.stack(list(of_class.values())).mean(axis=0)
        if not answers.binary:
            values |= {f"{name}:{label}": value for label, value in of_class.items()}
    return values


def _against_rest(
    metric: Callable[[BoolArray, FloatArray, FloatArray], FloatArray],
    answers: Answers,
    weights: FloatArray,
) -> dict[str, FloatArray]:
    """A ranking metric of the positive class, or beyond two classes of each against the rest."""
    first = 1 if answers.binary else 0
    return {
        label: metric(answers.y == k, answers.probabilities[:, k], weights)
        for k, label in enumerate(answers.classes)
        if k >= first
    }


def _calling(counts: FloatArray) -> dict[str, FloatArray]:
    """The metrics of calls, from confusion matrices [B, C, C]."""
    total = counts.sum(axis=(1, 2))
    right = np.diagonal(counts, axis1=1, axis2=2)
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    recall = _ratio(right, true)
    negatives = total[:, None] - true
    specificity = _ratio(negatives - (called - right), negatives)
    f1 = np.where(true > 0, _ratio(2 * right, true + called), np.nan)
    agreement = _ratio(right.sum(axis=1), total)
    chance = _ratio((true * called).sum(axis=1), total**2)
    kept = slice(1, 2) if counts.shape[1] == 2 else slice(None)
    return {
        "accuracy": agreement,
        "balanced_accuracy": recall.mean(axis=1),
        "sensitivity": recall[:, kept].mean(axis=1),
        "specificity": specificity[:, kept].mean(axis=1),
        "f1": f1[:, kept].mean(axis=1),
        # With one class alone, agreement by chance is certain or the labels carry no information.
        "kappa": np.where(
            (true > 0).sum(axis=1) > 1, _ratio(agreement - chance, 1 - chance), np.nan
        ),
    }


def _weight_by_score(
    positive: BoolArray, scores: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weight of positives and of negatives at each distinct score, ascending: two [B, G]."""
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ranked[1:] > ranked[:-1]]))
    of_positives = np.add.reduceat((weights * positive)[:, order], starts, axis=1)
    of_all = np.add.reduceat(weights[:, order], starts, axis=1)
    return of_positives, of_all - of_positives


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where the denominator is 0."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
