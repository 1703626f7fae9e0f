"""The predictions table: what cross-validation and prediction write and evaluation reads.

One row a patient, target, method, seed and repeat. Columns:

- ``PATIENT``, ``target``, ``method``, ``seed``, ``repeat``, ``fold``;
- ``label``: the patient's class, empty where it is unknown;
- ``positive_class``: for a target of two classes; empty for a target of more;
- for each network NAME (``student``, ``multimodal``, ``genomic``), two classes: ``NAME``, the
  probability of the positive class, and ``NAME_threshold``, the operating threshold that the
  fold's inner validation set chose; more classes: one column ``NAME:CLASS`` a class.

A network that cannot answer for a patient leaves its columns empty. A baseline has its own method
name and fills the columns of the network that reads the same inputs (logistic regression on mRNA:
``genomic``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.files import whole_file

NETWORKS = ("student", "multimodal", "genomic")
"""The networks that may answer, by what they read: slides, both, genomics."""

TEXT_COLUMNS = ("PATIENT", "target", "method", "label", "positive_class")
NUMBER_COLUMNS = ("seed", "repeat", "fold")
COLUMNS = ("PATIENT", "target", "method", "seed", "repeat", "fold", "label", "positive_class")


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Check a predictions table and write it as CSV, whole or not at all.

    Args:
        path: The CSV file.
        frame: The table; ``repeat`` may be absent (then 0).

    Raises:
        InputError: The table breaks the contract of this module; every problem is named.
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
        InputError: The file is absent, unreadable, or breaks the contract of this module; every
            problem is named with its column and patients.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give a predictions CSV.")
    try:
        frame = pd.read_csv(path, dtype="str", keep_default_na=False, na_values=[""])
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = str(error).strip()
        raise InputError(f"{path}: cannot be read as a predictions CSV ({reason}).") from error
    return check_predictions(frame, str(path))


def check_predictions(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Check a predictions table and give its columns their types.

    Args:
        frame: The table, its cells text or already typed.
        source: The file (or other origin) that messages name.

    Returns:
        A typed copy, the columns of the contract first; columns outside it are dropped.

    Raises:
        InputError: Every problem found, one sentence each.
    """
    _require_columns(frame, source)
    problems: list[str] = []
    typed = _typed(frame, source, problems)
    if problems:
        raise InputError(*problems)
    problems += _range_problems(typed, source)
    problems += _duplicate_problems(typed, source)
    problems += _label_problems(typed, source)
    for target, rows in typed.groupby("target", sort=False):
        problems += _class_problems(rows, f"{source}: target {target}")
    if problems:
        raise InputError(*problems)
    return typed


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


def networks_in(frame: pd.DataFrame) -> list[str]:
    """The networks that answer for at least one patient of the table, in their usual order."""
    return [
        name
        for name in NETWORKS
        if any(frame[column].notna().any() for column in _probability_columns(frame, name))
    ]


def class_columns(frame: pd.DataFrame, network: str) -> dict[str, str]:
    """The columns ``NETWORK:CLASS`` that hold something, by class, in the table's order."""
    prefix = f"{network}:"
    return {
        column.removeprefix(prefix): column
        for column in frame.columns
        if column.startswith(prefix) and frame[column].notna().any()
    }


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
    return (others[0] if others else f"not {name}", name)


def _probability_columns(frame: pd.DataFrame, network: str) -> list[str]:
    return [c for c in frame.columns if c == network or c.startswith(f"{network}:")]


def _network_columns(frame: pd.DataFrame) -> list[str]:
    return [
        column
        for network in NETWORKS
        for column in frame.columns
        if column in (network, f"{network}_threshold") or column.startswith(f"{network}:")
    ]


def _require_columns(frame: pd.DataFrame, source: str) -> None:
    missing = [name for name in COLUMNS if name not in frame and name != "repeat"]
    problems = []
    if missing:
        problems.append(
            f"{source}: the column(s) {listed(missing)} are missing from the predictions."
        )
    if not any(_probability_columns(frame, network) for network in NETWORKS):
        problems.append(
            f"{source}: no network column; expected at least one of {listed(NETWORKS)} "
            "(or NETWORK:CLASS for more than two classes)."
        )
    if frame.empty:
        problems.append(f"{source}: the table has no rows.")
    if problems:
        raise InputError(*problems)


def _typed(frame: pd.DataFrame, source: str, problems: list[str]) -> pd.DataFrame:
    """Columns in the contract's order and types; what does not convert goes to ``problems``."""
    columns: dict[str, pd.Series] = {}
    defaulted = frame if "repeat" in frame else frame.assign(repeat=0)
    for name in (*COLUMNS, *_network_columns(frame)):
        column = defaulted[name]
        if name in TEXT_COLUMNS:
            text = column.astype(object).where(column.isna(), column.astype(str))
            columns[name] = text.mask(text == "")
            continue
        number = pd.to_numeric(column, errors="coerce").astype("float64")
        bad = (number.isna() & column.notna()) | np.isinf(number)
        if bad.any():
            examples = listed([str(value) for value in column[bad].unique()], 3)
            problems.append(f"{source}: column {name} holds what is not a number: {examples}.")
        columns[name] = number
    typed = pd.DataFrame(columns).reset_index(drop=True)
    for name in ("PATIENT", "target", "method", *NUMBER_COLUMNS):
        empty = typed[name].isna()
        if empty.any() and not any(f"column {name} " in problem for problem in problems):
            problems.append(f"{source}: column {name} is empty in {int(empty.sum())} row(s).")
    if not problems:
        typed = typed.astype(dict.fromkeys(NUMBER_COLUMNS, "int64"))
    return typed


def _range_problems(frame: pd.DataFrame, source: str) -> list[str]:
    problems = []
    for column in _network_columns(frame):
        outside = (frame[column] < 0) | (frame[column] > 1)
        if outside.any():
            patients = listed(list(frame.loc[outside, "PATIENT"].unique()))
            problems.append(
                f"{source}: column {column} has values outside 0 to 1 for patient(s) {patients}."
            )
    return problems


def _duplicate_problems(frame: pd.DataFrame, source: str) -> list[str]:
    key = ["PATIENT", "target", "method", "seed", "repeat"]
    repeated = frame.duplicated(key)
    if not repeated.any():
        return []
    patients = listed(list(frame.loc[repeated, "PATIENT"].unique()))
    return [
        f"{source}: patient(s) {patients} have more than one row for the same target, method, "
        "seed and repeat; keep one row each."
    ]


def _label_problems(frame: pd.DataFrame, source: str) -> list[str]:
    distinct = frame.dropna(subset=["label"]).groupby(["target", "PATIENT"])["label"].nunique()
    torn = distinct[distinct > 1].index.get_level_values("PATIENT")
    if torn.empty:
        return []
    return [
        f"{source}: patient(s) {listed(list(torn.unique()))} have different labels in "
        "different rows of the same target."
    ]


def _class_problems(rows: pd.DataFrame, where: str) -> list[str]:
    named = rows["positive_class"]
    positives = list(named.dropna().unique())
    if len(positives) > 1 or (positives and named.isna().any()):
        return [
            f"{where}: column positive_class must name one class in every row (or be empty in "
            f"every row, beyond two classes); found {listed(positives)}"
            + (" and empty cells." if named.isna().any() else ".")
        ]
    return _binary_problems(rows, where) if positives else _multiclass_problems(rows, where)


def _binary_problems(rows: pd.DataFrame, where: str) -> list[str]:
    positive = rows["positive_class"].iloc[0]
    others = sorted(set(rows["label"].dropna()) - {positive})
    if len(others) <= 1:
        return []
    counts = rows["label"].value_counts()
    rare = min(others, key=lambda name: counts[name])
    patients = listed(list(rows.loc[rows["label"] == rare, "PATIENT"].unique()))
    return [
        f"{where}: column label holds {len(others)} classes beside the positive class {positive} "
        f"({listed(others)}) but a two-class target has one; {rare} is the label of "
        f"patient(s) {patients}."
    ]


def _multiclass_problems(rows: pd.DataFrame, where: str) -> list[str]:
    classes = target_classes(rows)
    if len(classes) < 3:
        return [
            f"{where}: positive_class is empty and fewer than three NETWORK:CLASS columns tell "
            "the classes; name the positive class of two, or give one column a class."
        ]
    problems = []
    unknown = rows["label"].notna() & ~rows["label"].isin(list(classes))
    if unknown.any():
        problems.append(
            f"{where}: column label holds {listed(sorted(set(rows.loc[unknown, 'label'])))}, not "
            f"among the classes {listed(classes)}, for patient(s) "
            f"{listed(list(rows.loc[unknown, 'PATIENT'].unique()))}."
        )
    for network in NETWORKS:
        columns = list(class_columns(rows, network).values())
        answered = rows[rows[columns].notna().any(axis=1)] if columns else rows.iloc[:0]
        total = answered[columns].sum(axis=1, skipna=False)
        wrong = answered.loc[~np.isclose(total.astype("float64"), 1, atol=1e-3), "PATIENT"]
        if not wrong.empty:
            problems.append(
                f"{where}: the class probabilities of {network} do not sum to 1 for patient(s) "
                f"{listed(list(wrong.unique()))}."
            )
    return problems


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
