"""The columns that somebody named, found in a table or told with the setting to change."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.errors import InputError, listed

_RESOLUTION = re.compile(r"mpp|micron|resolution|pixel.?size|[uµμ]m.*p(x|ixel)", re.IGNORECASE)


@dataclass(frozen=True)
class Column:
    """A column that is wanted, and the setting that names it.

    Attributes:
        name: The column.
        setting: What names it: a setting below its section, such as ``cohort: patient_column``, or
            an option, ``--patient-column``; empty where none can be changed.
        also: Names that the column has in files of common sources.
    """

    name: str
    setting: str = ""
    also: tuple[str, ...] = ()


def resolved_columns(
    table: pd.DataFrame,
    columns: Sequence[Column],
    path: Path,
    notes: list[str],
    problems: list[str],
) -> pd.DataFrame:
    """The table with the wanted columns under the names that they are wanted by.

    A column is taken in another case, or by one of its other names, where only one fits.

    Args:
        table: A table as ``read_table`` returns it.
        columns: The columns wanted; one may be wanted twice.
        path: The file that sentences name.
        notes: Takes the columns that were taken by another name.
        problems: Takes a sentence for each column that is not there.
    """
    renamed: dict[str, str] = {}
    absent: list[Column] = []
    names = [str(name) for name in table.columns if not _counts_rows(table, str(name))]
    told = list(notes)
    for column in dict.fromkeys(columns):
        if column.name in table.columns or column.name in renamed.values():
            continue
        found = _found(column, names)
        if found is None:
            absent.append(column)
        else:
            renamed[found] = column.name
            notes.append(f"{path}: column '{found}' was read as '{column.name}'.")
    if absent:
        # How the file was read may be why they are not there: the wrong sheet, a cut row.
        problems += [*missing_columns(table, absent, path), *told]
    return table.rename(columns=renamed)


def _counts_rows(table: pd.DataFrame, name: str) -> bool:
    """Whether a column without a name of its own only counts the rows."""
    if name not in ("", "Unnamed: 0"):
        return False
    first = table[name].iloc[0]
    return first in ("0", "1") and list(table[name]) == [
        str(int(first) + row) for row in range(len(table))
    ]


def is_resolution(name: str) -> bool:
    """Whether a column is called as people call µm/px."""
    return _RESOLUTION.search(name) is not None


def missing_columns(table: pd.DataFrame, columns: Iterable[Column], path: Path) -> list[str]:
    """One sentence for each of ``columns`` that the table lacks, with the nearest name it has."""
    names = [str(name) for name in table.columns]
    absent = [column.name for column in dict.fromkeys(columns) if column.name not in names]
    if absent and len(names) == 1:
        return [
            f"{path}: has no column {listed([repr(name) for name in absent])}, but one column, "
            f"'{names[0]}'. If other marks than comma, semicolon, tab or bar stand between its "
            "cells, save it as CSV."
        ]
    return [
        f"{path}: has no column '{column.name}'{_suggestion(column, names)} "
        f"Its columns are {listed(names, 20)}."
        for column in dict.fromkeys(columns)
        if column.name not in table.columns
    ]


def _found(column: Column, names: list[str]) -> str | None:
    for wanted in (column.name, *column.also):
        alike = [name for name in names if name.lower() == wanted.lower()]
        if len(alike) == 1:
            return alike[0]
    return None


def _suggestion(column: Column, names: list[str]) -> str:
    by_lower = {name.lower(): name for name in names if name}
    nearest = difflib.get_close_matches(column.name.lower(), list(by_lower), n=1)
    if not nearest:
        return "."
    name = by_lower[nearest[0]]
    return f"; do you mean '{name}'?{_recipe(column.setting, name)}"


def _recipe(setting: str, name: str) -> str:
    """How to name another column."""
    if setting.startswith("--"):
        return f" Then give `{setting} {shlex.quote(name)}`."
    section, _, key = setting.rpartition(": ")
    return f" Then write `{key}: {name}` below `{section}`." if section else ""


def require_columns(table: pd.DataFrame, columns: Iterable[Column], path: Path) -> None:
    """Refuse a table that lacks columns.

    Raises:
        InputError: A sentence for each.
    """
    problems = missing_columns(table, columns, path)
    if problems:
        raise InputError(*problems)
