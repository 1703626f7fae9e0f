"""CSV tables that people open in a spreadsheet: no cell of them is taken for a formula.

Names of files, patients and classes are the user's data, and a cell that begins with ``=``, ``+``,
``-`` or ``@`` is computed when the table is opened. As OWASP advises (CSV Injection), an
apostrophe is put before such a cell. A cell that has apostrophes before such a sign already gets
one more, so that :func:`unguarded` always gives the true text back. Numbers are left as they are.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from histodistill.files import whole_file

# The wide forms of the signs count too: spreadsheets of some languages read them alike.
_SIGNS = tuple("=+-@\t\r\n＝＋－＠")
_GUARD = "'"


def guarded(text: str) -> str:
    """A cell that no spreadsheet computes."""
    return _GUARD + text if _computed(text) else text


def unguarded(text: str) -> str:
    """The text that :func:`guarded` was given."""
    is_guarded = text.startswith(_GUARD) and _computed(text[1:])
    return text[1:] if is_guarded else text


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table as CSV, whole or not at all, with its text and its header guarded.

    Args:
        path: The CSV file.
        frame: The table; its index is not written.
    """
    safe = frame.rename(columns=lambda name: guarded(name) if isinstance(name, str) else name)
    for place, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            column = frame.iloc[:, place]
            if any(isinstance(cell, str) and _computed(cell) for cell in column):
                safe.isetitem(place, column.map(_guarded_cell).tolist())
    with whole_file(path) as temporary:
        safe.to_csv(temporary, index=False)


def read_own_csv(path: Path) -> pd.DataFrame:
    """A table that :func:`write_csv` wrote: true texts, numbers to the last bit, names as text."""
    # pandas' own way of reading numbers is faster, and may miss the last bit.
    return read_back(pd.read_csv(path, dtype={"PATIENT": str}, float_precision="round_trip"))


def read_back(frame: pd.DataFrame) -> pd.DataFrame:
    """The true texts of a table of ours that was read as text."""
    true = frame.rename(columns=lambda name: unguarded(name) if isinstance(name, str) else name)
    for place, kind in enumerate(frame.dtypes):
        if not pd.api.types.is_numeric_dtype(kind):
            column = frame.iloc[:, place]
            true.isetitem(place, column.map(_unguarded_cell).tolist())
    return true


def _guarded_cell(value: object) -> object:
    return guarded(value) if isinstance(value, str) else value


def _unguarded_cell(value: object) -> object:
    return unguarded(value) if isinstance(value, str) else value


def _computed(text: str) -> bool:
    return text.lstrip(_GUARD).startswith(_SIGNS) and not _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
