"""Predictions tables on disk.

Their columns are those of ``histodistill.evaluation.layout``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from histodistill import finished, sealing
from histodistill.errors import InputError
from histodistill.evaluation.checks import check_predictions
from histodistill.evaluation.layout import network_columns, silent_networks
from histodistill.spreadsheets import read_back, write_csv
from histodistill.tables import read_table, with_decimal_points

_REMEDY = (
    "copy it again or run the same command again; what you changed on purpose, save by another name"
)


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Check a predictions table and write it as CSV, whole or not at all.

    Args:
        path: The CSV file.
        frame: The table; ``repeat`` may be absent (then 0).

    Raises:
        InputError: The table breaks the layout; every problem is named.
    """
    checked = check_predictions(frame, str(path))
    write_csv(path, checked)


def read_predictions(path: Path, notes: list[str] | None = None) -> pd.DataFrame:
    """Read a predictions CSV and check it.

    Args:
        path: The CSV file.
        notes: Takes what the user should know of how the file was read, in sentences.

    Returns:
        The table with ``PATIENT``, ``label`` and the names as text (NaN where empty), ``seed``,
        ``repeat`` and ``fold`` as int64, probabilities and thresholds as float64.

    Raises:
        InputError: The file is absent, unreadable, not what the run wrote whose record lies
            beside it, or breaks the layout; every problem is named with its column and patients.
    """
    told: list[str] = [] if notes is None else notes
    if not path.is_file():
        if kept := sealing.unread_sentence(path.parent):
            raise InputError(kept)
        raise InputError(f"{path}: there is no such file; give a predictions CSV.")
    problems = list(finished.changes(path.parent, _REMEDY, only=path.name))
    if problems:
        raise InputError(*problems)
    frame = read_back(read_table(path, told))
    for name in network_columns(frame):
        frame[name] = with_decimal_points(frame[name], path, told)
    told += [
        f"{path}: column '{name}' is empty for every patient; that network is left out"
        for name in silent_networks(frame)
    ]
    return check_predictions(frame, str(path))
