"""Predictions tables on disk, and labels for the predictions of an external cohort.

Their columns are those of ``histodistill.evaluation.layout``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.evaluation.checks import check_predictions
from histodistill.evaluation.layout import NETWORKS, network_columns
from histodistill.files import whole_file
from histodistill.tables import read_table, with_decimal_points


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Check a predictions table and write it as CSV, whole or not at all.

    Args:
        path: The CSV file.
        frame: The table; ``repeat`` may be absent (then 0).

    Raises:
        InputError: The table breaks the layout; every problem is named.
    """
    checked = check_predictions(frame, str(path))
    with whole_file(path) as temporary:
        checked.to_csv(temporary, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a predictions CSV and check it.

    Returns:
        The table with ``PATIENT``, ``label`` and the names as text (NaN where empty), ``seed``,
        ``repeat`` and ``fold`` as int64, probabilities and thresholds as float64.

    Raises:
        InputError: The file is absent, unreadable, or breaks the layout; every problem is
            named with its column and patients.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a predictions CSV.")
    frame = read_table(path)
    for name in network_columns(frame):
        frame[name] = with_decimal_points(frame[name], path, [])
    return check_predictions(frame, str(path))


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
            with two classes, ``positive_class``; other columns are ignored.
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
            label has, or a table that breaks the contract.
    """
    if "PATIENT" not in predictions:
        raise InputError(f"{source}: the column PATIENT is missing.")
    known = labels.dropna().astype(str)
    frame = predictions.assign(PATIENT=predictions["PATIENT"].astype(str))
    positive_class = positive_class or _positive_class(frame)
    problems = _joining_problems(frame, known, positive_class, source)
    if problems:
        raise InputError(*problems)
    frame = frame.assign(
        target=target,
        method=method,
        seed=0,
        repeat=0,
        fold=0,
        label=frame["PATIENT"].map(known),
        positive_class=np.nan if positive_class is None else positive_class,
    )
    return check_predictions(frame, source)


def _positive_class(frame: pd.DataFrame) -> str | None:
    """The positive class that the table names; None beyond two classes."""
    if "positive_class" not in frame:
        return None
    named = [str(name) for name in frame["positive_class"].dropna() if name != ""]
    return named[0] if named else None


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
    if positive_class is None and any(network in frame for network in NETWORKS):
        problems.append(
            f"{source}: the predictions are of two classes; say which class is positive."
        )
    return problems
