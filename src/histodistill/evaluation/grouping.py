"""Levels of a column, by which patients are told apart in subgroups."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd

MOST_LEVELS = 12
"""A column of words with more levels has the others joined."""

_FEW_VALUES = 5
_QUARTERS = (0, 0.25, 0.5, 0.75, 1)


def levels_of(column: pd.Series) -> pd.Series:
    """The level of each patient, an ordered categorical; patients without a value are left out.

    Numbers with more than five distinct values are cut at their quartiles; words with more than
    twelve keep the twelve most frequent, the others joined in one level that says how many.

    Args:
        column: Values by patient: numbers, or words (numbers written as words are numbers).
    """
    known = column.dropna()
    known = known[known.astype(str).str.strip() != ""]
    values = pd.to_numeric(known, errors="coerce")
    if len(known) and values.notna().all():
        return _of_numbers(values.astype("float64"))
    return _of_words(known.astype(str))


def _of_numbers(values: pd.Series[float]) -> pd.Series:
    """The numbers themselves where they are few, else the quarters in which they lie."""
    if values.nunique() <= _FEW_VALUES:
        order = sorted(values.unique())
        return _ordered(values, dict(zip(order, _written(order), strict=True)))
    edges = values.quantile(list(_QUARTERS)).drop_duplicates().tolist()
    if len(edges) < 3:
        edges = [values.min(), values.mean(), values.max()]
    pairs = list(pairwise(_written(edges)))
    names = [f"{pairs[0][0]} to {pairs[0][1]}"]
    names += [f"above {low} to {high}" for low, high in pairs[1:]]
    cut = pd.cut(values, edges, labels=names, include_lowest=True)
    return cut.astype(str).astype(pd.CategoricalDtype(names, ordered=True))


def _written(values: Sequence[float]) -> list[str]:
    """Distinct numbers in distinct words: six digits, more where that would make two alike."""
    short = [f"{value:.0f}" if abs(value) >= 1e6 else f"{value:g}" for value in values]
    return short if len(set(short)) == len(values) else [repr(float(value)) for value in values]


def _ordered(values: pd.Series, names: dict[float, str]) -> pd.Series:
    return values.map(names).astype(pd.CategoricalDtype(list(names.values()), ordered=True))


def _of_words(words: pd.Series[str]) -> pd.Series:
    counts = words.value_counts()
    # The same order whatever the order of the patients.
    order = sorted(counts.index, key=lambda name: (-counts[name], name))
    kept, others = order[:MOST_LEVELS], order[MOST_LEVELS:]
    if len(others) < 2:
        kept, others = order, []
    joined = f"{len(others)} others"
    names = [*kept, *([joined] if others else [])]
    told = words.where(words.isin(kept), joined)
    return told.astype(pd.CategoricalDtype(names, ordered=True))
