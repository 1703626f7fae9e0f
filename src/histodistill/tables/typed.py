"""Tables whose cells have types (Excel, Parquet), as rows of text."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from histodistill.errors import InputError
from histodistill.gate.archives import require_plausible_parquet

# More than any table of patients, slides or predictions has.
_MOST_CELLS = 50_000_000


def excel_rows(path: Path, content: bytes) -> list[list[str]]:
    """The rows of a workbook's first sheet, stripped; an empty cell is an empty text.

    Raises:
        InputError: The workbook is damaged.
    """
    try:
        sheet = pd.read_excel(
            io.BytesIO(content),
            engine="openpyxl",
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
        )
    except Exception as error:  # a damaged workbook raises whatever its XML happens to break
        raise InputError(f"{path}: cannot be read as Excel; save it again as .xlsx.") from error
    return _rows(sheet)


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
    return str(int(cell)) if whole else str(cell).strip()  # type: ignore[call-overload]
