"""Columns of a clinical table that are recognised by their names: follow-up, hospital, others."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pandas as pd

from histodistill.cohort import SurvivalColumns
from histodistill.tables import number, same_value
from histodistill.tables.cells import is_missing

# Time and event, as cBioPortal, Xena (old and new) and TCGA's Clinical Data Resource call them,
# and plain tables; the first pair that a table has is taken.
_FOLLOW_UP = (
    ("os_months", "os_status"),
    ("os_time", "os"),
    ("os_time", "os_event"),
    ("os_time", "os_status"),
    ("os_days", "os_status"),
    ("os_days", "os_event"),
    ("os_months", "os_event"),
    ("os_time_nature2012", "os_event_nature2012"),
    ("_os", "_os_ind"),
    ("overall_survival_months", "overall_survival_status"),
    ("overall_survival_months", "overall_survival"),
    ("overall_survival_days", "overall_survival_status"),
    ("survival_months", "survival_status"),
    ("survival_days", "survival_status"),
    ("survival_time", "survival_event"),
    ("survival_time", "survival_status"),
    ("follow_up_months", "vital_status"),
    ("time", "event"),
)
# The two halves of a time, of which the vital status says which one counts.
_HALVES = (
    *("days_to_death", "days_to_last_follow_up", "days_to_last_followup"),
    *("death_days_to", "last_contact_days_to"),
)
_SITES = (
    *("site", "hospital", "centre", "center", "clinic", "institution", "institute"),
    *("tissue_source_site", "tissue_source_site_code", "tss", "clinical_site", "site_id"),
)
_FEWEST_OF_A_CLASS = 10
_MOST_CLASSES = 6
_UNITS = {"month": "months", "day": "days", "year": "years"}
_LONGEST_MONTHS = 600


def find_follow_up(table: pd.DataFrame) -> SurvivalColumns | None:
    """The columns of follow-up time and event; None where there is no pair of the usual names."""
    named = _by_plain_name(table)
    for time, event in _FOLLOW_UP:
        if time in named and event in named:
            return SurvivalColumns(time=named[time], event=named[event])
    return None


def halves_of_follow_up(table: pd.DataFrame) -> list[str]:
    """Columns of which each holds a part of the follow-up times, as the GDC writes them."""
    named = _by_plain_name(table)
    found = [named[name] for name in _HALVES if name in named]
    return found if len(found) > 1 else []


def unit_of(column: str, longest: float) -> str:
    """The unit of follow-up times, and how it is known."""
    for word, unit in _UNITS.items():
        if word in column.lower():
            return f"in {unit}, as its name says"
    unit = "days" if longest > _LONGEST_MONTHS else "months or years"
    return f"in {unit}, judging by the longest, {longest:g}"


def find_site(table: pd.DataFrame) -> str | None:
    """The column of the hospital: one of the usual names, with some but not too many values."""
    named = _by_plain_name(table)
    for name in _SITES:
        if name in named and 1 < table[named[name]].nunique() <= max(2, len(table) // 2):
            return named[name]
    return None


def _by_plain_name(table: pd.DataFrame) -> dict[str, str]:
    """Columns by their names in lower case, less the sections that the GDC puts before them."""
    plain: dict[str, str] = {}
    for column in map(str, table.columns):
        name = re.sub(r"[^a-z0-9]+", "_", column.rpartition(".")[2].lower()).rstrip("_")
        whole = re.sub(r"[^a-z0-9]+", "_", column.lower()).rstrip("_")
        plain.setdefault(whole, column)
        plain.setdefault(name, column)
    return plain


@dataclass(frozen=True)
class Candidate:
    """A column with few values, which may be a target.

    Attributes:
        column: The column.
        values: Number of cells by value, in the order of the values.
        ordered: Whether more than two values stand in an order: grades, or HER2 from zero on.
    """

    column: str
    values: dict[str, int]
    ordered: bool = False


def candidates(table: pd.DataFrame, taken: Collection[str]) -> Iterator[Candidate]:
    """Columns whose known cells say one of two to six things, each of ten patients or more.

    Args:
        table: Cells of text, NaN where empty.
        taken: Columns that have a role already.
    """
    for column in map(str, table.columns):
        cells = table[column].dropna()
        if column in taken or cells.nunique() > 3 * _MOST_CLASSES:
            continue
        known = cells[~cells.map(is_missing).astype(bool)]
        spellings = known.map(same_value)
        amounts = spellings.value_counts()
        if not 2 <= len(amounts) <= _MOST_CLASSES or amounts.min() < _FEWEST_OF_A_CLASS:
            continue
        written = known.groupby(spellings).agg(lambda group: group.value_counts().index[0])
        values = {str(written[key]): int(amounts[key]) for key in amounts.index}
        in_order = dict(sorted(values.items(), key=_order))
        yield Candidate(column, in_order, ordered=len(values) > 2 and all(map(_has_place, values)))


# From the least to the most, as HER2 and other stains are told in words.
_LEVELS = (
    *("zero", "null", "absent", "none", "negative", "ultralow", "ultra-low", "low", "weak"),
    *("intermediate", "moderate", "medium", "high", "strong", "positive", "present"),
)


def _has_place(value: str) -> bool:
    return number(value) is not None or same_value(value) in _LEVELS


def _order(item: tuple[str, int]) -> tuple[float, float, str]:
    """Numbers, then levels from the least to the most, then other words."""
    value, word = number(item[0]), same_value(item[0])
    if value is not None:
        return (0.0, value, "")
    return (1.0, _LEVELS.index(word), "") if word in _LEVELS else (2.0, 0.0, item[0])
