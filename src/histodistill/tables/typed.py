"""Tables whose cells have types (Excel, Parquet), as rows of text."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.gate.archives import require_plausible_parquet
from histodistill.tables.text import stripped

# More than any table of patients, slides or predictions has.
_MOST_CELLS = 50_000_000


def excel_rows(path: Path, content: bytes, notes: list[str]) -> list[list[str]]:
    """The rows of a workbook's first sheet with cells, stripped; an empty cell is an empty text.

    Args:
        path: The file that messages name.
        content: Its bytes.
        notes: Takes which sheets with cells are left unread.

    Raises:
        InputError: The workbook is damaged.
    """
    try:
        with pd.ExcelFile(io.BytesIO(content), engine="openpyxl") as book:
            name = first_sheet(book)
            sheet = pd.read_excel(
                book, name, header=None, dtype=str, keep_default_na=False, na_values=[""]
            )
            notes += unread_sheets(path, book)
    except Exception as error:  # a damaged workbook raises whatever its XML happens to break
        raise InputError(f"{path}: cannot be read as Excel; save it again as .xlsx.") from error
    return _rows(sheet)


def first_sheet(book: pd.ExcelFile) -> str:
    """The first sheet with cells; the first where none has any."""
    return next(iter(_filled_sheets(book)), str(book.sheet_names[0]))


def unread_sheets(path: Path, book: pd.ExcelFile) -> list[str]:
    """A note where other sheets than the one that is read have cells; none where they have not."""
    first, *unread = _filled_sheets(book) or [first_sheet(book)]
    if not unread:
        return []
    names = listed([f"'{name}'" for name in unread])
    return [
        f"{path}: the first sheet, '{first}', is read, and not {names}; save the sheet that you "
        "mean as a file of its own if it is another."
    ]


def _filled_sheets(book: pd.ExcelFile) -> list[str]:
    names = (str(name) for name in book.sheet_names)
    return [name for name in names if not pd.read_excel(book, name, header=None, nrows=1).empty]


def parquet_rows(path: Path, content: bytes) -> list[list[str]]:
    """The column names and the rows of a Parquet file; a named index becomes columns.

    Raises:
        InputError: The file is damaged.
    """
    try:
        require_plausible_parquet(path, io.BytesIO(content), cells=_MOST_CELLS)
        table = pd.read_parquet(io.BytesIO(content))
    except InputError:
        raise
    except Exception as error:  # a damaged file raises whatever its columns happen to break
        raise InputError(f"{path}: cannot be read as Parquet; write it again.") from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    return [[str(name).strip() for name in table.columns], *_rows(table)]


def _rows(table: pd.DataFrame) -> list[list[str]]:
    cells = table.astype(object)
    cells = cells.where(cells.notna(), "")
    return [[_text(cell) for cell in row] for row in cells.itertuples(index=False, name=None)]


def _text(cell: object) -> str:
    # A column of whole numbers with gaps is stored as floats: 1.0 was meant as 1.
    whole = isinstance(cell, float) and cell.is_integer()
    return str(int(cell)) if whole else stripped(str(cell))  # type: ignore[call-overload]
