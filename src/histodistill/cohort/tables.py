"""Tables as users have them, read as text: CSV, TSV, Excel and Parquet.

Every cell stays a string, because a patient called ``007`` must not become 7. Whoever needs
numbers converts the column and can then name the cells that are none.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".xlsx", ".xlsm", ".parquet")
_DELIMITERS = (",", ";", "\t")
_GZIP, _PARQUET, _ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"


def read_table(path: Path) -> pd.DataFrame:
    """Read a table whose first row names the columns.

    Names and cells are stripped of surrounding blanks, empty rows and nameless empty columns
    are left out, and leading lines that start with ``#`` (cBioPortal) are comments. The
    delimiter of a text table (comma, semicolon or tab) is found from its content. Of an Excel
    file the first sheet is read.

    Args:
        path: One of ``TABLE_SUFFIXES``; what the file holds decides over what it is called.

    Returns:
        One row a record; every cell a ``str``, NaN where it is empty.

    Raises:
        InputError: The file is absent, unreadable, of another kind or empty, or two of its
            columns have the same name.
    """
    content = _content(path)
    if content.startswith(_PARQUET):
        header, body = _read_parquet(path, content)
    elif content.startswith(_ZIP):
        header, body = _first_row_names(_read_excel(path, content))
    elif path.name.lower().endswith(TEXT_SUFFIXES):
        header, body = _first_row_names(_read_text(path, content))
    else:
        raise InputError(
            f"{path}: is damaged or not a {path.suffix} file in spite of its name; save it again."
        )
    return _tidy(path, header, body)


def missing_columns(table: pd.DataFrame, columns: Iterable[str], path: Path) -> list[str]:
    """One sentence for each of ``columns`` that the table lacks, with the nearest name it has."""
    return [
        f"{path}: has no column '{column}'{_suggestion(column, table)} "
        f"Its columns are {listed([str(name) for name in table.columns], 20)}."
        for column in dict.fromkeys(columns)
        if column not in table.columns
    ]


def _suggestion(column: str, table: pd.DataFrame) -> str:
    by_lower = {str(name).lower(): str(name) for name in table.columns}
    nearest = difflib.get_close_matches(column.lower(), list(by_lower), n=1)
    return f"; do you mean '{by_lower[nearest[0]]}'?" if nearest else "."


def _content(path: Path) -> bytes:
    if not path.name.lower().endswith(TABLE_SUFFIXES):
        raise InputError(
            f"{path}: is not a table that can be read; use one of {', '.join(TABLE_SUFFIXES)}."
        )
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not content.strip():
        raise InputError(f"{path}: is empty.")
    return content


def _read_text(path: Path, content: bytes) -> pd.DataFrame:
    # Excel's "Unicode text" is UTF-16 and always carries its byte order mark.
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text; save it as 'CSV UTF-8'.") from None
    while text.startswith("#"):
        text = text.partition("\n")[2]
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep=_delimiter(text),
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"{path}: is empty.") from None
    except pd.errors.ParserError as error:
        raise InputError(f"{path}: cannot be read as a table ({str(error).strip()}).") from error


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into equally many fields, and the most of them."""
    lines = [line for line in text[:1_000_000].splitlines()[:20] if line.strip()]

    def quality(delimiter: str) -> tuple[bool, int]:
        fields = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        return fields[0] > 1 and len(set(fields)) == 1, fields[0]

    return max(_DELIMITERS, key=quality) if lines else ","


def _read_excel(path: Path, content: bytes) -> pd.DataFrame:
    try:
        return pd.read_excel(
            io.BytesIO(content),
            engine="openpyxl",
            header=None,
            dtype=str,
            keep_default_na=False,
            na_values=[""],
        )
    except Exception as error:  # a damaged workbook raises whatever its XML happens to break
        raise InputError(f"{path}: cannot be read as Excel; save it again as .xlsx.") from error


def _read_parquet(path: Path, content: bytes) -> tuple[list[str], pd.DataFrame]:
    try:
        table = pd.read_parquet(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as Parquet; write it again.") from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    return [str(name) for name in table.columns], table.apply(_as_text)


def _as_text(column: pd.Series[str]) -> pd.Series[str]:
    texts = column.astype(object).map(_cell_text, na_action="ignore")
    return texts.where(texts.notna())


def _cell_text(cell: object) -> str:
    # A column of whole numbers with gaps is stored as floats: 1.0 was meant as 1.
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _stripped(column: pd.Series[str]) -> pd.Series[str]:
    return column.map(lambda cell: cell.strip() or np.nan, na_action="ignore").astype(object)


def _first_row_names(cells: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    header = ["" if pd.isna(name) else str(name).strip() for name in cells.iloc[:1].to_numpy().flat]
    return header, cells.iloc[1:]


def _tidy(path: Path, header: list[str], body: pd.DataFrame) -> pd.DataFrame:
    table = body.apply(_stripped).dropna(how="all").reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: is empty: it has no rows below the column names.")
    table.columns = pd.Index(header)
    table = table.loc[:, (table.columns != "") | table.notna().any().to_numpy()]
    repeated = table.columns[table.columns.duplicated()].unique().tolist()
    if repeated:
        names = listed([f"'{name}'" for name in repeated])
        raise InputError(f"{path}: several columns are called {names}; rename them.")
    return table
