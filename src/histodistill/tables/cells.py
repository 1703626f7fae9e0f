"""What a cell says: nothing (a missing code), a number, or a word in any case."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.errors import listed

# What R, pandas, Excel, cBioPortal and the GDC write where nothing is known, in lower case.
MISSING_CODES = frozenset(
    {
        *("na", "n/a", "#n/a", "n.a.", "nan", "<na>", "nat", "null", "#null!", "none", "missing"),
        *("'--", "--", "-", ".", "?", "unknown", "not available", "not applicable"),
        *("not reported", "not evaluated", "not performed", "not done", "not tested"),
        *("performed but not available", "data not available", "unspecified", "not provided"),
        *("not allowed to collect", "not assessed", "not determined", "not known", "not stated"),
        *("not evaluable", "not collected", "no data", "unk", "n.d.", "n/d", "#value!", "#ref!"),
        # German, French, Spanish and Italian.
        *("k.a.", "k. a.", "keine angabe", "unbekannt", "nicht bekannt", "nicht bestimmt", "n.b."),
        *("inconnu", "inconnue", "non déterminé", "non réalisé", "desconocido", "sconosciuto"),
    }
)
# cBioPortal and TCGA's clinical files put the reason in brackets: [Not Available], [Unknown].
_BRACKETED = re.compile(r"\[[^\[\]]*\]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")


def is_missing(text: str) -> bool:
    """Whether a cell holds a code for "not known"."""
    return text.lower() in MISSING_CODES or _BRACKETED.fullmatch(text) is not None


def without_missing_codes(
    cells: pd.Series[str], path: Path, notes: list[str], words: frozenset[str] = frozenset()
) -> pd.Series[str]:
    """The column with its missing codes emptied, which a note tells with their counts.

    Args:
        cells: Texts, NaN where empty; the series' name is the column's.
        path: The file that the note names.
        notes: Takes the note.
        words: Cells that mean something here although they look like a code.
    """
    codes = [str(cell) for cell in cells.dropna().unique() if is_missing(str(cell))]
    found = cells.isin([code for code in codes if code not in words])
    if not found.any():
        return cells
    notes.append(f"{path}: column '{cells.name}': {counts(cells[found])} count as unknown.")
    return cells.where(~found)


def counts(cells: pd.Series[str]) -> str:
    """Each value with the number of cells that hold it, the most frequent first."""
    return listed([f"'{value}' ({n})" for value, n in cells.value_counts().items()])


def number(text: str) -> float | None:
    """The number in a cell, written with a point; None where it holds none.

    Infinity, NaN and the underscores of programs are no numbers of a table.
    """
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def numbers(cells: pd.Series[str], path: Path, notes: list[str]) -> pd.Series[float]:
    """The numbers of a column, float64; NaN where a cell is empty or holds no number.

    A column written with decimal commas is read as such, which a note tells.
    """
    texts = with_decimal_points(cells, path, notes)
    return texts.map(number, na_action="ignore").astype(float)


def with_decimal_points(cells: pd.Series[str], path: Path, notes: list[str]) -> pd.Series[str]:
    """The column with points for decimal commas, where that is how all of it is written.

    Cells such as ``1,234`` alone could be thousands, so such a column stays as it is.
    """
    texts = cells.dropna().astype(str)
    commas = texts[texts.str.contains(",", regex=False)]
    written = texts.map(lambda text: _DECIMAL_COMMA.fullmatch(text) is not None)
    thousands = commas.map(lambda text: _THOUSANDS.fullmatch(text) is not None)
    if commas.empty or not written.all() or thousands.all():
        return cells
    notes.append(
        f"{path}: column '{cells.name}' is written with decimal commas and was read so, for "
        f"example '{commas.iloc[0]}'."
    )
    return cells.map(lambda text: text.replace(",", "."), na_action="ignore")


# What programs write into columns of numbers where nothing was measured.
_NUMBER_CODES = (-9, -99, -999, -9999, 999, 9999, 99999)


def numeric_code(values: NDArray[np.floating]) -> tuple[int, int] | None:
    """A code for "not known" among numbers, and how often it stands; None where there is none.

    Such a code is repeated, and lies farther from all other values than these from each other, or
    is the only negative value.

    Args:
        values: Any shape, NaN for missing.
    """
    known = values[np.isfinite(values)]
    for code in _NUMBER_CODES:
        found = known == code
        others = known[~found]
        if found.sum() < 2 or not len(others):
            continue
        low, high = float(others.min()), float(others.max())
        gap = max(low - code, code - high)
        if gap > high - low or (code < 0 <= low):
            return code, int(found.sum())
    return None


def same_value(text: str) -> str:
    """What is equal in two spellings of one value: ``Positive``, ``1`` and ``1.0``."""
    value = number(text)
    if value is not None and value.is_integer():
        return str(int(value))
    return " ".join(text.lower().split())
