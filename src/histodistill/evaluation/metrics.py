"""The metrics, each with what it declares.

Every metric takes weights [B, n] (patients' multiplicities in B resamples) and returns B values,
so that one implementation gives both the estimate (weights of one) and its bootstrap in matrix
products. scikit-learn has the same metrics one weighting at a time; the tests hold these to it.
A metric that is undefined, because a class has no patient, is NaN.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histodistill.evaluation.answers import Answers, FloatArray, IntArray
from histodistill.evaluation.registry import METRICS

BoolArray = npt.NDArray[np.bool_]

CALIBRATION_BINS = 10


@METRICS.declare(
    "auc",
    label="AUC",
    of="ranking",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="area under the ROC curve",
    formula="share of pairs of a positive and a negative patient in the right order; a tie is half",
    source="Hanley and McNeil 1982, Radiology",
)
def auc(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] area under the ROC curve of the positive class."""
    return area(answers.y == 1, answers.positive, weights)


@METRICS.declare(
    "average_precision",
    label="Average precision",
    of="ranking",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="precision averaged over the steps of recall, without interpolation",
    formula="sum of (recall gained x precision) over the distinct probabilities",
    source="Zhu 2004, University of Waterloo",
)
def average_precision(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] average precision; NaN without negatives, since it were 1 whatever the scores."""
    positives, negatives = _weight_by_score(answers.y == 1, answers.positive, weights)
    true = np.cumsum(positives[:, ::-1], axis=1)
    called = true + np.cumsum(negatives[:, ::-1], axis=1)
    precision = np.divide(true, called, out=np.zeros_like(true), where=called > 0)
    gained = (precision * positives[:, ::-1]).sum(axis=1)
    value = ratio(gained, positives.sum(axis=1))
    return np.where(negatives.sum(axis=1) > 0, value, np.nan)


@METRICS.declare(
    "accuracy",
    label="Accuracy",
    of="calls",
    bounds=(0.0, 1.0),
    text="share of patients who are called right",
    formula="right / all",
)
def accuracy(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] share of patients who are called right."""
    return ratio(weights @ (answers.calls == answers.y).astype(np.float64), weights.sum(axis=1))


@METRICS.declare(
    "balanced_accuracy",
    label="Balanced accuracy",
    of="calls",
    bounds=(0.0, 1.0),
    text="mean over the classes of the share that is called right",
    formula="mean of the classes' recalls",
    source="Brodersen et al. 2010, ICPR",
)
def balanced_accuracy(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] mean over the classes of the share that is called right."""
    counts = confusion(answers, weights)
    recall = ratio(np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2))
    return np.asarray(recall.mean(axis=1))


@METRICS.declare(
    "sensitivity",
    label="Sensitivity",
    of="calls",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="share of the class that is called so (recall)",
    formula="true positive / positive",
)
def sensitivity(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] share of the positive patients who are called positive."""
    counts = confusion(answers, weights)
    return ratio(counts[:, 1, 1], counts[:, 1].sum(axis=1))


@METRICS.declare(
    "specificity",
    label="Specificity",
    of="calls",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="share of the others who are not called so",
    formula="true negative / negative",
)
def specificity(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] share of the negative patients who are called negative."""
    counts = confusion(answers, weights)
    return ratio(counts[:, 0, 0], counts[:, 0].sum(axis=1))


@METRICS.declare(
    "ppv",
    label="PPV",
    of="calls",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="positive predictive value: share of those called so who are of the class (precision)",
    formula="true positive / called positive",
)
def ppv(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] share of the patients called positive who are; NaN where nobody is called so."""
    counts = confusion(answers, weights)
    return ratio(counts[:, 1, 1], counts[:, :, 1].sum(axis=1))


@METRICS.declare(
    "f1",
    label="F1",
    of="calls",
    bounds=(0.0, 1.0),
    against_rest=True,
    text="harmonic mean of sensitivity and PPV",
    formula="2 x true positive / (positive + called positive)",
    source="van Rijsbergen 1979, Information Retrieval",
)
def f1(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] harmonic mean of sensitivity and PPV; NaN without positives."""
    counts = confusion(answers, weights)
    positive, called = counts[:, 1].sum(axis=1), counts[:, :, 1].sum(axis=1)
    return np.where(positive > 0, ratio(2 * counts[:, 1, 1], positive + called), np.nan)


@METRICS.declare(
    "kappa",
    label="Kappa",
    of="calls",
    bounds=(-1.0, 1.0),
    text="agreement of calls and labels beyond chance",
    formula="(agreement - chance) / (1 - chance)",
    source="Cohen 1960, Educational and Psychological Measurement",
)
def kappa(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] Cohen's kappa; NaN where all patients are of one class."""
    counts = confusion(answers, weights)
    total = counts.sum(axis=(1, 2))
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    agreement = ratio(np.diagonal(counts, axis1=1, axis2=2).sum(axis=1), total)
    chance = ratio((true * called).sum(axis=1), total**2)
    # With one class alone, agreement by chance is certain or the labels carry no information.
    several = (true > 0).sum(axis=1) > 1
    return np.where(several, ratio(agreement - chance, 1 - chance), np.nan)


def weighted_kappa(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] quadratic-weighted kappa of ordered classes; NaN where all patients are of one class.

    ``1 - sum d observed / sum d expected``, d the squared distance of the called class from the
    true one: a call two classes away counts four times one that is next to it.

    Source: Cohen, "Weighted kappa", Psychological Bulletin 1968.
    """
    counts = confusion(answers, weights)
    place = np.arange(len(answers.classes))
    distance = np.square(place[:, None] - place).astype(np.float64)
    true, called = counts.sum(axis=2), counts.sum(axis=1)
    chance = np.einsum("bi,ij,bj->b", true, distance, called)
    apart = (counts * distance).sum(axis=(1, 2)) * counts.sum(axis=(1, 2))
    several = (true > 0).sum(axis=1) > 1
    return np.where(several, 1 - ratio(apart, chance), np.nan)


@METRICS.declare(
    "brier",
    label="Brier",
    of="calibration",
    bounds=(0.0, 2.0),
    smaller_is_better=True,
    text="mean squared error of the probabilities: of the positive class of two, else summed",
    formula="mean of (probability - outcome) squared",
    source="Brier 1950, Monthly Weather Review",
)
def brier(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] Brier score: of the positive class for two classes, summed over classes for more."""
    squared = (answers.probabilities - np.eye(len(answers.classes))[answers.y]) ** 2
    error = squared[:, 1] if answers.binary else squared.sum(axis=1)
    return ratio(weights @ error, weights.sum(axis=1))


@METRICS.declare(
    "ece",
    label="ECE",
    of="calibration",
    bounds=(0.0, 1.0),
    smaller_is_better=True,
    resampled=False,
    text="expected calibration error over 10 equal-width bins: of the positive class of two, "
    "else of the called class",
    formula="mean over patients of |observed frequency - mean probability| of the patient's bin",
    source="Guo et al. 2017, ICML",
)
def calibration_error(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] expected calibration error over 10 equal-width bins of the probability."""
    if answers.binary:
        p, observed = answers.positive, answers.y == 1
    else:
        p, observed = answers.probabilities.max(axis=1), answers.y == answers.calls
    in_bin = np.eye(CALIBRATION_BINS)[calibration_bin(p)]
    gaps = weights @ (in_bin * (observed - p)[:, None])
    return ratio(np.abs(gaps).sum(axis=1), weights.sum(axis=1))


def area(positive: BoolArray, scores: FloatArray, weights: FloatArray) -> FloatArray:
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
    return ratio((positives * below).sum(axis=1), pairs)


def confusion(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B, C, C] weight of patients by true class (rows) and called class (columns)."""
    n_classes = len(answers.classes)
    cell = np.eye(n_classes**2)[answers.y * n_classes + answers.calls]
    return np.reshape(weights @ cell, (-1, n_classes, n_classes))


def calibration_bin(p: FloatArray) -> IntArray:
    """[n] bin of each probability: [0, .1), [.1, .2), ... [.9, 1]."""
    edges = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    return np.digitize(p, edges).astype(np.int64)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Quotient, NaN where the denominator is 0."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)


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
