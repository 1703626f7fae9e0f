"""The distribution of probabilities by outcome, in which each point leads to its patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from histodistill.evaluation import Runs

WIDTH, LANE, LEFT, TOP = 720, 96, 120, 8
MOST_POINTS = 600
"""Points of a cohort that is too large for all: who is called wrong, and others as have room."""

# Of more patients not all have a point, nor a point its words: the page would be too heavy.
_MOST_PATIENTS = 1000
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Point:
    """A patient: place in the drawing, the place of the page that it leads to, and words."""

    x: str
    y: str
    anchor: str
    wrong: bool
    words: str


@dataclass(frozen=True)
class Lane:
    """The patients of a class: name and number, middle, quartiles (x), and points."""

    name: str
    n: int
    y: int
    quartiles: tuple[float, float, float]
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Distribution:
    """The drawing: a lane a class, what the probability is of, and patients without a point."""

    lanes: tuple[Lane, ...]
    axis: str
    height: int
    left_out: int


def answered(runs: Runs) -> pd.DataFrame:
    """What the runs answered to each patient, the mean over them.

    Returns:
        Indexed by patient: ``label``; ``p``, the probability of the positive class, beyond two
        classes that of the patient's own; ``wrong``, the share of runs that call another class,
        NaN where nothing is called.
    """
    tables = []
    for run in runs.runs:
        own = run.positive if run.binary else run.probabilities[np.arange(len(run)), run.y]
        wrong = (run.calls != run.y).astype(float) if run.has_calls else np.full(len(run), np.nan)
        tables.append(pd.DataFrame({"p": own, "wrong": wrong}, index=list(run.patients)))
    means = pd.concat(tables).groupby(level=0).mean().loc[list(runs.patients)]
    means.insert(0, "label", [runs.classes[k] for k in runs.y])
    return means


def distribution_table(answers: pd.DataFrame, classes: tuple[str, ...]) -> pd.DataFrame:
    """Quartiles of the probability by class."""
    rows = []
    for name in classes:
        p = answers.loc[answers["label"] == name, "p"]
        if len(p):
            low, middle, high = p.quantile([0.25, 0.5, 0.75])
            rows.append((name, len(p), p.min(), low, middle, high, p.max()))
    names = ["Class", "Patients", "Least", "First quartile", "Median", "Third quartile", "Most"]
    return pd.DataFrame(rows, columns=names)


def distribution(
    answers: pd.DataFrame, classes: tuple[str, ...], anchors: dict[str, str]
) -> Distribution:
    """Lay out the points.

    Args:
        answers: As :func:`answered`.
        classes: In the order of the lanes, the last one above.
        anchors: The place of the page of each patient.
    """
    words, shown = len(answers) <= _MOST_PATIENTS, _shown(answers)
    lanes: list[Lane] = []
    for name in reversed(classes):
        own = answers[answers["label"] == name].sort_values("p", kind="stable")
        if own.empty:
            continue
        middle = TOP + LANE * len(lanes) + LANE // 2
        low, median, high = (_x(value) for value in own["p"].quantile([0.25, 0.5, 0.75]))
        points = tuple(_points(own[own.index.isin(shown)], middle, anchors, words))
        lanes.append(Lane(str(name), len(own), middle, (low, median, high), points))
    axis = "Probability of " + (f"“{classes[1]}”" if len(classes) == 2 else "the patient's class")
    height = TOP + LANE * len(lanes) + 40
    return Distribution(tuple(lanes), axis, height, len(answers) - len(shown))


def _shown(answers: pd.DataFrame) -> pd.Index:
    """Everybody of a small cohort; of a large one the wrong, and the right at even steps."""
    if len(answers) <= _MOST_PATIENTS:
        return answers.index
    ordered = answers.sort_values("p", kind="stable")
    wrong = ordered.index[ordered["wrong"] > 0.5]
    right = ordered.index.difference(wrong, sort=False)
    return wrong[:: -(-len(wrong) // MOST_POINTS) or 1].union(
        right[:: -(-len(right) // max(MOST_POINTS - len(wrong), MOST_POINTS // 3))]
    )


def _points(own: pd.DataFrame, middle: int, anchors: dict[str, str], words: bool) -> list[Point]:
    height = (np.arange(len(own)) * _GOLDEN % 1 - 0.5) * (LANE - 26) + middle
    return [
        Point(
            f"{_x(p):.1f}",
            f"{y:.0f}",
            anchors[str(patient)],
            bool(wrong > 0.5),
            f"{patient}: {p:.3f}" if words else "",
        )
        for patient, p, wrong, y in zip(own.index, own["p"], own["wrong"], height, strict=True)
    ]


def _x(probability: float) -> float:
    return LEFT + probability * (WIDTH - LEFT - 16)
