"""The layout of a predictions table, which cross-validation writes and evaluation reads.

One row a patient, target, method, seed and repeat. Columns:

- ``PATIENT``, ``target``, ``method``, ``seed``, ``repeat``, ``fold``;
- ``label``: the patient's class, empty where it is unknown;
- ``positive_class``: for a target of two classes; empty for a target of more;
- ``ordered``, where a target of the table has ordered classes: its classes from the least to the
  most, joined by ``|``; empty in rows of other targets;
- for each network NAME (``student``, ``multimodal``, ``genomic``), two classes: ``NAME``, the
  probability of the positive class, and ``NAME_threshold``, the operating threshold that the
  fold's inner validation set chose; more classes: one column ``NAME:CLASS`` a class;
- ``NAME_calibrated`` (more classes: ``NAME_calibrated:CLASS``), where there is a calibrator: the
  same probability after calibration on the fold's inner validation set; calls are not made by it.

A network that cannot answer for a patient leaves its columns empty. A baseline has its own method
name and fills the columns of the network that reads the same inputs (logistic regression on mRNA:
``genomic``).

The predictions of a bundle for new patients have no ``label``, ``seed``, ``repeat`` or ``fold``;
every row says what it answers: ``target``, ``classes``, ``positive_class``, ``method``, ``bundle``.
Beside the networks they hold ``probability`` and ``call``, the answer that is given for a patient;
with labels it becomes one more column, ``deployed``, with the threshold of whoever answered.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

NETWORKS = ("deployed", "student", "multimodal", "genomic")
"""Who may answer, in the order of tables: the answer that a bundle gives, from the network that
reads the most of what the patient has; and the networks, by what they read (slides, both,
genomics)."""

_REST = "not "
CLASS_SEPARATOR = "|"

COLUMNS = ("PATIENT", "target", "method", "seed", "repeat", "fold", "label", "positive_class")
ORDERED = "ordered"
TEXT_COLUMNS = ("PATIENT", "target", "method", "label", "positive_class", ORDERED)
NUMBER_COLUMNS = ("seed", "repeat", "fold")


def joined_classes(classes: Iterable[str]) -> str:
    """The class names in one cell."""
    return CLASS_SEPARATOR.join(classes)


def networks_in(frame: pd.DataFrame) -> list[str]:
    """The networks that answer for at least one patient of the table, in their usual order."""
    return [
        name
        for name in NETWORKS
        if any(frame[column].notna().any() for column in probability_columns(frame, name))
    ]


def silent_networks(frame: pd.DataFrame) -> list[str]:
    """The networks whose columns are there, and empty for every patient."""
    answering = networks_in(frame)
    return [n for n in NETWORKS if probability_columns(frame, n) and n not in answering]


def class_columns(frame: pd.DataFrame, network: str) -> dict[str, str]:
    """The columns ``NETWORK:CLASS`` that hold something, by class, in the table's order."""
    prefix = f"{network}:"
    return {
        column.removeprefix(prefix): column
        for column in frame.columns
        if column.startswith(prefix) and frame[column].notna().any()
    }


def are_ordered(rows: pd.DataFrame) -> bool:
    """Whether the classes of rows of one target stand in an order."""
    return ORDERED in rows and bool(rows[ORDERED].notna().any())


def target_classes(frame: pd.DataFrame) -> tuple[str, ...]:
    """The classes of a table's only target: (negative, positive), or the class columns' order.

    A two-class target whose labels hold the positive class alone gets the negative class
    ``not POSITIVE``.
    """
    positive = frame["positive_class"].dropna()
    if positive.empty:
        names = (class_columns(frame, network) for network in NETWORKS)
        return tuple(dict.fromkeys(name for columns in names for name in columns))
    name = str(positive.iloc[0])
    others = sorted(set(frame["label"].dropna()) - {name})
    return (others[0] if others else rest_of(name), name)


def rest_of(name: str) -> str:
    """The name of all other classes together."""
    return f"{_REST}{name}"


def from_name(name: str) -> str:
    """The name of an ordered class and all above it together."""
    return f"{name} or above"


def absence(name: str) -> str:
    """That no patient has a class, in words."""
    if name.startswith(_REST):
        return f"every patient is {name.removeprefix(_REST)}"
    return f"no {name} patient"


def probability_columns(frame: pd.DataFrame, network: str) -> list[str]:
    """The columns of a network's probabilities, of one class or more."""
    return [c for c in frame.columns if c == network or c.startswith(f"{network}:")]


def calibrated_column(column: str) -> str:
    """The column of the calibrated probability beside one of a network's probability columns."""
    network, sign, name = column.partition(":")
    return f"{network}_calibrated{sign}{name}"


def as_calibrated(frame: pd.DataFrame) -> pd.DataFrame:
    """A table whose probabilities are the calibrated ones, without thresholds; or no columns.

    Networks that are not calibrated have no column in it.
    """
    given = [c for network in NETWORKS for c in probability_columns(frame, network)]
    renamed = {calibrated_column(c): c for c in given if calibrated_column(c) in frame}
    thresholds = [f"{n}_threshold" for n in NETWORKS if f"{n}_threshold" in frame]
    return frame.drop(columns=[*given, *thresholds]).rename(columns=renamed)


def network_columns(frame: pd.DataFrame) -> list[str]:
    """All columns of all networks, thresholds and calibrated probabilities included."""
    return [
        column
        for network in NETWORKS
        for column in frame.columns
        if column.partition(":")[0] in (network, f"{network}_threshold", f"{network}_calibrated")
    ]
