"""Learning curves: the AUC by the number of labelled patients, and how many a method needs.

A method needs as many labelled patients as its curve has where it first reaches the AUC that the
reference has with all of them. The curve is made to rise (isotonic regression of the AUC on the
number of labels), and between two parts it is a line on the logarithm of that number. The interval
is a percentile bootstrap of test patients, the same in curve and reference; the drawing of the
parts and the chance of training are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.intervals import percentile_interval, resamples
from histodistill.evaluation.parts import Part, parts
from histodistill.evaluation.runs import Runs, auc_of

RESAMPLES = 500
CURVE = ("target", "method", "network", "labelled", "n_patients", "auc", "low", "high")
NEEDED = (
    "target",
    "method",
    "network",
    "reference",
    "reference_auc",
    "fewest_labels",
    "all_labels",
    "needed",
    "needed_low",
    "needed_high",
    "note",
)


@dataclass(frozen=True)
class LabelledPart:
    """Predictions of test patients by models that had so many labels.

    Attributes:
        predictions: A checked predictions table.
        labelled: Labelled patients of training and validation, the mean over folds, by target.
    """

    predictions: pd.DataFrame
    labelled: Mapping[str, float]


@dataclass(frozen=True)
class LearningCurves:
    """Learning curves of every target, method and network.

    Attributes:
        points: A row a number of labels, with ``CURVE``: pooled AUC with its 95 % interval.
        needed: A row a method and network, with ``NEEDED``: labels with which it has the AUC of
            the reference with ``all_labels``; infinite where it has not even with these, and the
            smallest number where it has from the first; ``note`` says so. Empty without a
            reference.
    """

    points: pd.DataFrame
    needed: pd.DataFrame


Key = tuple[str, str, str]


def learning_curves(
    labelled: Sequence[LabelledPart],
    reference: str | None,
    *,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> LearningCurves:
    """Learning curves, and the labels that each method needs.

    Args:
        labelled: From the fewest labels to all of them, the same test patients in each.
        reference: The contender whose AUC with all labels is to be reached, ``METHOD NETWORK``.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    curves = _curves(labelled)
    points = [_point(key, n, runs) for key, curve in curves.items() for n, runs in curve]
    whole = {key: curve[-1][1] for key, curve in curves.items()}
    needed = []
    for (target, method, network), curve in curves.items():
        aim = (target, *reference.rsplit(" ", 1)) if reference else None
        if aim in whole and len(curve) > 1:
            reach = _reach(curve, whole[aim], n_resamples, seed)
            needed.append((target, method, network, reference, *reach))
    return LearningCurves(
        pd.DataFrame(points, columns=list(CURVE)), pd.DataFrame(needed, columns=list(NEEDED))
    )


def labels_needed(aucs: FloatArray, aim: FloatArray, labelled: FloatArray) -> FloatArray:
    """Labels with which curves first reach an AUC.

    Args:
        aucs: [B, K] AUC with each number of labels.
        aim: [B] AUC to be reached.
        labelled: [K] numbers of labels, ascending.

    Returns:
        [B]; infinite where it is not reached.
    """
    curves = rising(aucs)
    reached = curves >= aim[:, None]
    after = np.argmax(reached, axis=1)
    before = np.maximum(after - 1, 0)
    rows = np.arange(len(curves))
    low, high = curves[rows, before], curves[rows, after]
    way = np.divide(aim - low, high - low, out=np.ones_like(low), where=high > low)
    steps = np.log(labelled)
    needed = np.exp(steps[before] + way * (steps[after] - steps[before]))
    needed[after == 0] = labelled[0]
    return np.where(reached.any(axis=1), needed, np.inf)


def rising(values: FloatArray) -> FloatArray:
    """Isotonic regression of each row [B, K]: the largest of the smallest means around a place."""
    n = values.shape[1]
    # Not from sums of all before: a mean of one value has to be that value, to the last digit.
    mean = {(i, j): values[:, i : j + 1].mean(axis=1) for j in range(n) for i in range(j + 1)}
    fitted = [
        np.max([np.min([mean[i, j] for j in range(k, n)], axis=0) for i in range(k + 1)], axis=0)
        for k in range(n)
    ]
    return np.stack(fitted, axis=1)


def _curves(labelled: Sequence[LabelledPart]) -> dict[Key, list[tuple[float, Runs]]]:
    """Number of labels and answers of each part, by target, method and network of the whole."""
    found = [
        {(part.target, part.method, part.network): part for part in parts(each.predictions)}
        for each in labelled
    ]
    return {
        key: [
            (each.labelled[key[0]], own[key].runs())
            for each, own in zip(labelled, found, strict=True)
            if key in own and _can_be_judged(own[key])
        ]
        for key, part in found[-1].items()
        if _can_be_judged(part)
    }


def _can_be_judged(part: Part) -> bool:
    runs = part.runs()
    return len(runs) > 0 and not runs.missing_classes()


def _point(key: Key, labelled: float, runs: Runs) -> tuple[object, ...]:
    if runs.binary:
        return (*key, labelled, len(runs), *auc_of(runs))
    auc = float(runs.aucs(np.ones((1, len(runs))))[0])
    drawn = np.concatenate([runs.aucs(w) for w in resamples(runs.y, RESAMPLES, 0)])
    return (*key, labelled, len(runs), auc, *percentile_interval(drawn))


def _reach(
    curve: Sequence[tuple[float, Runs]], aim: Runs, n_resamples: int, seed: int
) -> tuple[object, ...]:
    """The reference's AUC, fewest and all labels, labels needed with their interval, and a note."""
    everywhere = set(aim.patients).intersection(*(runs.patients for _, runs in curve))
    shared = aim.of(sorted(everywhere))
    answers = [runs.of(shared.patients) for _, runs in curve]
    labelled = np.array([n for n, _ in curve])

    def at(weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        aucs = np.stack([runs.aucs(weights) for runs in answers], axis=1)
        goal = shared.aucs(weights)
        return labels_needed(aucs, goal, labelled), goal

    needed, goal = at(np.ones((1, len(shared))))
    drawn = np.concatenate([at(w)[0] for w in resamples(shared.y, n_resamples, seed)])
    # No interpolation between a number and the infinite.
    low, high = np.quantile(drawn, [0.025, 0.975], method="nearest")
    fewest, most = float(labelled[0]), float(labelled[-1])
    note = _note(float(needed[0]), fewest)
    return float(goal[0]), fewest, most, float(needed[0]), float(low), float(high), note


def _note(needed: float, fewest: float) -> str:
    if np.isinf(needed):
        return "not reached"
    return "reached with the smallest part already" if needed <= fewest else ""
