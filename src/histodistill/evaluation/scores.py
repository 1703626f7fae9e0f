"""All metrics of a set of patients, and why some are undefined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histodistill.errors import InputError
from histodistill.evaluation.answers import Answers, FloatArray
from histodistill.evaluation.layout import absence, from_name
from histodistill.evaluation.metrics import area, auc, weighted_kappa
from histodistill.evaluation.registry import METRICS, STANDARD_METRICS, metric_label
from histodistill.registry import line_at_fault

QUADRATIC = "kappa:quadratic"
_SLACK = 1e-9  # of bounds, for sums that are not exact


@dataclass(frozen=True)
class Scores:
    """Metrics of one set of patients.

    Attributes:
        metrics: Each metric's value, NaN where it is undefined.
        notes: Why metrics are undefined; empty when all are defined.
    """

    metrics: dict[str, float]
    notes: tuple[str, ...]


def score(answers: Answers, metrics: Sequence[str] = STANDARD_METRICS) -> Scores:
    """The metrics of one set of patients.

    Beyond two classes, a metric of one class against the rest is the unweighted mean over the
    classes, and ``NAME:CLASS`` is each class's own. Ordered classes have beside the AUC
    ``auc:CLASS or above``, that of each cut, and beside kappa ``kappa:quadratic``, in which a call
    counts by its squared distance from the label.

    Args:
        answers: The patients' answers.
        metrics: Names of metrics.

    Raises:
        InputError: A metric of another package that fails, or that gives what no metric gives.
    """
    if len(answers) == 0:
        return Scores(dict.fromkeys(metrics, float("nan")), ("no labelled patient with an answer",))
    weighted = weighted_metrics(answers, np.ones((1, len(answers))), metrics)
    values = {name: float(value[0]) for name, value in weighted.items()}
    notes = [absence(name) for name in answers.missing_classes()]
    if not answers.has_calls:
        notes.append("no operating threshold")
    undefined = [metric_label(name) for name in metrics if np.isnan(values[name])]
    if undefined and not notes:
        notes.append(f"{', '.join(undefined)} undefined")
    return Scores(values, tuple(notes))


def require_metrics(names: Iterable[str]) -> None:
    """Try metrics on a few patients, so that one that cannot work is told before it is needed.

    Raises:
        InputError: Every metric that is unknown, cannot be imported or fails.
    """
    answers = Answers.two_class([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.9], threshold=0.5)
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 1, 1], [0, 1, 3, 0]])
    problems: list[str] = []
    for name in names:
        try:
            weighted_metrics(answers, weights, [METRICS.check(name)])
        except InputError as error:
            problems += error.problems
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise InputError(*problems)


def weighted_metrics(
    answers: Answers, weights: FloatArray, metrics: Sequence[str] = STANDARD_METRICS
) -> dict[str, FloatArray]:
    """The metrics under each row of weights.

    Args:
        answers: n patients.
        weights: [B, n], each patient's multiplicity.
        metrics: Names of metrics.

    Returns:
        For each metric, [B] values, NaN where undefined.

    Raises:
        InputError: As ``score``.
    """
    values: dict[str, FloatArray] = {}
    each = {} if answers.binary else _each_against_rest(answers)
    for name in metrics:
        declared = METRICS.facts(name)
        if declared.of == "calls" and not answers.has_calls:
            values[name] = np.full(len(weights), np.nan)
        elif declared.against_rest and each:
            own = {label: _computed(name, one, weights) for label, one in each.items()}
            values[name] = np.stack(list(own.values())).mean(axis=0)
            values |= {f"{name}:{label}": value for label, value in own.items()}
        else:
            values[name] = _computed(name, answers, weights)
        if answers.ordered:
            values |= _of_order(name, answers, weights)
    return values


def _of_order(name: str, answers: Answers, weights: FloatArray) -> dict[str, FloatArray]:
    """What a metric has for ordered classes beside what it has for any."""
    if name == "kappa":
        return {QUADRATIC: weighted_kappa(answers, weights)}
    if name != "auc":
        return {}
    cuts = (answers.from_class(index) for index in range(1, len(answers.classes)))
    return {f"auc:{cut.classes[1]}": auc(cut, weights) for cut in cuts}


def is_of_order(metric: str) -> bool:
    """Whether a metric's name is of one that ordered classes alone have."""
    return metric == QUADRATIC or (metric.startswith("auc:") and metric.endswith(from_name("")))


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
    return float(np.mean([area(classes == k, p[:, k], ones)[0] for k in columns]))


def weighted_auc(answers: Answers, weights: FloatArray) -> FloatArray:
    """[B] AUC under each row of weights, as ``score`` defines it for two or more classes."""
    sides = [answers] if answers.binary else list(_each_against_rest(answers).values())
    return np.asarray(np.stack([auc(side, weights) for side in sides]).mean(axis=0))


def _each_against_rest(answers: Answers) -> dict[str, Answers]:
    return {name: answers.against_rest(k) for k, name in enumerate(answers.classes)}


def _computed(name: str, answers: Answers, weights: FloatArray) -> FloatArray:
    """A metric's values; what another package's gives is not taken on trust."""
    metric, (low, high) = METRICS.load(name), METRICS.facts(name).bounds
    if name in STANDARD_METRICS:
        return metric(answers, weights)
    try:
        values = np.asarray(metric(answers, weights), dtype=np.float64)
    except Exception as error:  # whatever somebody's code does
        where = line_at_fault(error, [metric])
        raise InputError(
            f"metric `{name}` fails: {type(error).__name__}: {error} ({where})"
        ) from error
    if values.shape != (len(weights),):
        raise InputError(
            f"metric `{name}` gives an array of shape {list(values.shape)} for weights of shape "
            f"{list(weights.shape)}; it must give one value for each row of weights"
        )
    outside = values[(values < low - _SLACK) | (values > high + _SLACK)]
    if len(outside):
        raise InputError(
            f"metric `{name}` gives {outside[0]:g}, outside of its bounds {low:g} to {high:g}"
        )
    return values
