"""Predictions of a bundle for an external cohort: what they answer, and that cohort's labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histodistill.cohort.patients import other_spellings
from histodistill.errors import InputError, listed
from histodistill.evaluation.checks import check_predictions
from histodistill.evaluation.layout import (
    CLASS_SEPARATOR,
    NETWORKS,
    class_columns,
    probability_columns,
)


@dataclass(frozen=True)
class Question:
    """What predictions answer; None or empty where nobody says it.

    Attributes:
        target: Name of the target.
        classes: Its classes.
        positive: The positive one of two.
        method: The method that answers.
        bundle: Fingerprint of the bundle that answered.
    """

    target: str | None = None
    classes: tuple[str, ...] = ()
    positive: str | None = None
    method: str | None = None
    bundle: str | None = None


def targets_in(predictions: pd.DataFrame) -> list[str]:
    """The targets that a file's rows name, in their order; none where it does not say."""
    return [] if "target" not in predictions else _texts(predictions["target"])


def rows_of(predictions: pd.DataFrame, target: str | None) -> pd.DataFrame:
    """The rows of one target, without columns that are empty there; all if none is named.

    Args:
        predictions: Predictions of a bundle, cells as text.
        target: The target.
    """
    if target is None or target not in targets_in(predictions):
        return predictions
    mine = predictions[predictions["target"] == target].reset_index(drop=True)
    if len(mine) == len(predictions):
        return predictions
    return mine.drop(columns=[name for name in mine if not _texts(mine[name])])


def question_of(predictions: pd.DataFrame, source: str = "predictions") -> Question:
    """What the rows of a predictions file say that they answer.

    Args:
        predictions: Cells as text.
        source: The file that messages name.

    Raises:
        InputError: Rows that answer different questions.
    """
    problems: list[str] = []
    said: dict[str, str | None] = {}
    for column in ("target", "classes", "positive_class", "method", "bundle"):
        values = [] if column not in predictions else _texts(predictions[column])
        if len(values) > 1:
            problems.append(
                f"{source}: column {column} names {listed(values)}; predictions of one bundle are "
                "evaluated at a time."
            )
        said[column] = values[0] if values else None
    if problems:
        raise InputError(*problems)
    return Question(
        target=said["target"],
        classes=tuple((said["classes"] or "").split(CLASS_SEPARATOR)) if said["classes"] else (),
        positive=said["positive_class"],
        method=said["method"],
        bundle=said["bundle"],
    )


def contradictions(said: Question, asked: Question, source: str) -> Iterator[str]:
    """One sentence for each thing that is asked otherwise than the predictions answer it."""
    pairs = (
        ("target", said.target, asked.target),
        ("positive class", said.positive, asked.positive),
        ("classes", _together(said.classes), _together(asked.classes)),
    )
    for name, answered, wanted in pairs:
        if answered and wanted and answered != wanted:
            yield (
                f"{source}: its predictions are of the {name} {answered}, and {wanted} is asked "
                "for; predictions are evaluated for what they answer."
            )


def unanswered_notes(
    predictions: pd.DataFrame, labels: pd.Series[str], source: str
) -> Iterator[str]:
    """Who has a label and no prediction, or a prediction and no label: neither is evaluated.

    Args:
        predictions: One row a patient with ``PATIENT``.
        labels: The class of each patient, indexed by patient; NaN where unknown.
        source: The file that the note names.
    """
    if "PATIENT" not in predictions:
        return
    predicted = list(dict.fromkeys(predictions["PATIENT"].dropna().astype(str)))
    known = list(dict.fromkeys(labels.dropna().index.astype(str)))
    lacking = sorted(set(known).difference(predicted))
    unlabelled = sorted(set(predicted).difference(known))
    both = len(predicted) - len(unlabelled)
    if lacking:
        yield (
            f"{source}: {both} of {len(known)} patients with a label have a prediction; without "
            f"one, and not evaluated: {listed(lacking)}{_perhaps(lacking, unlabelled)}"
        )
    if unlabelled:
        yield (
            f"{source}: {both} of {len(predicted)} predicted patients have a label; without one, "
            f"and not evaluated: {listed(unlabelled)}"
        )


def _perhaps(lacking: list[str], unlabelled: list[str]) -> str:
    pairs = other_spellings(lacking, unlabelled)
    return f"; predicted in another spelling: {listed(pairs, 5)}; spell them alike" if pairs else ""


def attach_labels(
    predictions: pd.DataFrame,
    labels: pd.Series[str],
    *,
    target: str,
    method: str,
    positive_class: str | None = None,
    source: str = "predictions",
) -> pd.DataFrame:
    """Turn predictions for an external cohort and that cohort's labels into a predictions table.

    Args:
        predictions: One row a patient with ``PATIENT``, the networks' columns and, of a target
            with two classes, ``positive_class``. Where they hold ``probability``, ``call`` and
            ``answered_by`` as well, these are the answers of one more network, ``deployed``.
        labels: The class of each patient, indexed by patient; NaN where unknown. Patients without
            a prediction are ignored.
        target: Name of the target.
        method: Name of the method that predicted.
        positive_class: The positive class, where the predictions do not name it.
        source: The file that messages name.

    Returns:
        A checked predictions table, ``seed``, ``repeat`` and ``fold`` 0.

    Raises:
        InputError: No patient in common, a patient with two labels, a positive class that no
            label has, predictions of another target, class or positive class, calls that are not
            those of the thresholds, or a table that breaks the contract.
    """
    if "PATIENT" not in predictions:
        raise InputError(f"{source}: the column PATIENT is missing.")
    known = labels.dropna().astype(str)
    frame = predictions.assign(PATIENT=predictions["PATIENT"].astype(str))
    said = question_of(frame, source)
    asked = Question(target=target, positive=positive_class)
    positive_class = positive_class or said.positive
    problems = list(contradictions(said, asked, source))
    problems += _joining_problems(frame, known, positive_class, source)
    strangers = sorted(set(known[known.index.isin(frame["PATIENT"])]) - set(said.classes))
    if said.classes and strangers:
        problems.append(
            f"{source}: its predictions are of the classes {listed(list(said.classes))}, and "
            f"patients are labelled {listed(strangers)}."
        )
    if problems:
        raise InputError(*problems)
    frame = frame.assign(
        **_deployed(frame, said.classes, positive_class, source),
        target=target,
        method=method,
        seed=0,
        repeat=0,
        fold=0,
        label=frame["PATIENT"].map(known),
        positive_class=np.nan if positive_class is None else positive_class,
    )
    return check_predictions(frame, source)


def _texts(column: pd.Series[str]) -> list[str]:
    return [str(value) for value in dict.fromkeys(column.dropna()) if value != ""]


def _together(classes: tuple[str, ...]) -> str:
    """Classes in one order, whichever they were named in."""
    return ", ".join(sorted(classes))


def _deployed(
    frame: pd.DataFrame, classes: tuple[str, ...], positive: str | None, source: str
) -> dict[str, pd.Series[float]]:
    """The columns of the answer that was given for each patient; none where the file has none."""
    if not {"probability", "call", "answered_by"} <= set(frame.columns):
        return {}
    answering = frame["answered_by"].fillna("")
    if positive is None:
        columns = {name: class_columns(frame, name) for name in NETWORKS}
        return {
            f"deployed:{label}": _chosen(
                frame, answering, {name: own.get(label, "") for name, own in columns.items()}
            )
            for label in classes
        }
    thresholds = _chosen(frame, answering, {name: f"{name}_threshold" for name in NETWORKS})
    probability = pd.to_numeric(frame["probability"], errors="coerce")
    called = frame["call"].fillna("")
    judged = (called != "") & thresholds.notna()
    other = judged & ((probability >= thresholds) != (called == positive))
    if other.any():
        patients = listed(list(frame.loc[other, "PATIENT"]))
        raise InputError(
            f"{source}: column call is not what probability and the threshold of the network that "
            f"answered say, for patient(s) {patients}; predict them again."
        )
    given: dict[str, pd.Series[float]] = {
        "deployed": probability,
        "deployed_threshold": thresholds,
    }
    if "calibrated" in frame:
        given["deployed_calibrated"] = pd.to_numeric(frame["calibrated"], errors="coerce")
    return given


def _chosen(
    frame: pd.DataFrame, answering: pd.Series[str], columns: dict[str, str]
) -> pd.Series[float]:
    """From each row, the number in the column of the network that answered."""
    chosen = pd.Series(np.nan, index=frame.index, dtype="float64")
    for name, column in columns.items():
        if column in frame:
            numbers = pd.to_numeric(frame[column], errors="coerce")
            chosen = chosen.mask(answering == name, numbers)
    return chosen


def _joining_problems(
    frame: pd.DataFrame, labels: pd.Series[str], positive_class: str | None, source: str
) -> list[str]:
    problems = []
    twice = list(labels.index[labels.index.duplicated()].astype(str).unique())
    if twice:
        problems.append(f"{source}: patient(s) {listed(twice)} have more than one label.")
    if not frame["PATIENT"].isin(labels.index).any():
        problems.append(
            f"{source}: none of its {len(frame)} patients has a label; do the patient names of "
            "the predictions and of the clinical table agree?"
        )
    elif positive_class is not None and positive_class not in set(labels):
        classes = listed(sorted(set(labels)))
        problems.append(
            f"{source}: the positive class {positive_class} is not among the labels ({classes})."
        )
    two_class = any(name in probability_columns(frame, name) for name in NETWORKS)
    if positive_class is None and two_class:
        problems.append(
            f"{source}: the predictions are of two classes; say which class is positive."
        )
    return problems
