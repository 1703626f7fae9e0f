"""Checks of a predictions table: every problem found, in one go."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.evaluation.layout import (
    COLUMNS,
    NETWORKS,
    NUMBER_COLUMNS,
    ORDERED,
    TEXT_COLUMNS,
    class_columns,
    joined_classes,
    network_columns,
    probability_columns,
    target_classes,
)


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


def _require_columns(frame: pd.DataFrame, source: str) -> None:
    if "answered_by" in frame and "label" not in frame:
        raise InputError(
            f"{source}: holds predictions of a bundle for new patients, without labels and folds; "
            f"give them to `histodistill evaluate {source} --clinical FILE`, with the labels."
        )
    missing = [name for name in COLUMNS if name not in frame and name != "repeat"]
    problems = []
    if missing:
        problems.append(
            f"{source}: the column(s) {listed(missing)} are missing from the predictions."
        )
    if not any(probability_columns(frame, network) for network in NETWORKS):
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
    order = (ORDERED,) if ORDERED in frame and frame[ORDERED].notna().any() else ()
    for name in (*COLUMNS, *order, *network_columns(frame)):
        column = defaulted[name]
        if name in TEXT_COLUMNS:
            text = column.astype(object).where(column.isna(), column.astype(str))
            columns[name] = text.mask(text == "")
            continue
        number = pd.Series([_number(value) for value in column], column.index, dtype="float64")
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


def _number(value: object) -> float:
    """The exact number of a cell (pandas' own parser rounds); NaN where it holds none."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


def _range_problems(frame: pd.DataFrame, source: str) -> list[str]:
    problems = []
    for column in network_columns(frame):
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
    orders = [str(o) for o in rows[ORDERED].dropna().unique()] if ORDERED in rows else []
    if any(order != joined_classes(classes) for order in orders):
        problems.append(
            f"{where}: column {ORDERED} says {listed(orders)}, and the NETWORK:CLASS columns "
            f"stand in the order {joined_classes(classes)}."
        )
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
