"""Any table file, read as text: CSV and its relatives, Excel and Parquet.

Every cell stays a string, because a patient called ``007`` must not become 7. Whoever needs
numbers converts the column (:mod:`.cells`) and can then name the cells that are none.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.gate.archives import require_plausible_zip, unzipped_content
from histodistill.gate.no_tables import require_table
from histodistill.gate.plain import MB
from histodistill.gate.stand_ins import require_fetched
from histodistill.gate.text import require_plausible_cells
from histodistill.tables.text import is_marked_header, text_rows
from histodistill.tables.typed import excel_rows, parquet_rows

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".xlsx", ".xlsm", ".parquet")
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
# More than any table of patients, slides or predictions that one machine handles.
_MOST_BYTES = 512 * MB
_BEFORE_XLSX = b"\xd0\xcf\x11\xe0"


def read_table(path: Path, notes: list[str] | None = None) -> pd.DataFrame:
    """Read a table whose first row names the columns.

    Names and cells are stripped of surrounding blanks; empty rows and nameless empty columns are
    left out; leading rows that are empty, start with ``#`` (cBioPortal) or tell Excel the delimiter
    (``sep=;``) are comments, but for one row with a name at once after the sign and as many cells
    as all below. Of a text table the encoding (UTF-8, UTF-16, Windows-1252) and the delimiter
    (comma, semicolon, tab, bar; the blank of R's ``write.table``) are found from its content; of an
    Excel file the first sheet with cells is read.

    Args:
        path: What the file holds decides over what it is called; it needs no suffix.
        notes: Takes what the user should know of how the file was read, in sentences.

    Returns:
        One row a record; every cell a ``str``, NaN where it is empty.

    Raises:
        InputError: The file is absent, unreadable, of another kind or empty, holds NUL bytes or
            rows that are longer than its header, or two of its columns have the same name.
    """
    told: list[str] = [] if notes is None else notes
    content = _content(path)
    if content.startswith(_PARQUET):
        rows = parquet_rows(path, content)
    elif content.startswith(_ZIP):
        rows = _without_comments(excel_rows(path, content, told))
    elif content.startswith(_BEFORE_XLSX):
        raise InputError(f"{path}: is a workbook of Excel before 2007; save it as .xlsx or as CSV.")
    elif path.name.lower().endswith((".xlsx", ".xlsm", ".parquet")):
        raise InputError(
            f"{path}: is damaged or not a {path.suffix} file in spite of its name; save it again."
        )
    else:
        require_table(path, content)
        require_plausible_cells(path, content)
        rows = text_rows(path, content, told)
    return _table(path, rows, told)


def _content(path: Path) -> bytes:
    try:
        content = unzipped_content(path, most=_MOST_BYTES)
        if content.startswith(_ZIP):
            require_plausible_zip(path, io.BytesIO(content))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error
    if not content.strip():
        raise InputError(f"{path}: is empty.")
    require_fetched(path, content)
    return content


def _without_comments(rows: list[list[str]]) -> list[list[str]]:
    """The rows of a sheet from its header on."""
    filled = [row for row in rows if any(row)]
    # All rows of a sheet are as wide as the widest: what is filled tells how wide the table is.
    width = max((_filled(row) for row in filled[1:]), default=0)
    header = filled[0][: _filled(filled[0])] if filled else []
    if is_marked_header(header, [row[:width] for row in filled[1:]]):
        return [[header[0].removeprefix("#"), *header[1:]], *filled[1:]]
    for first, row in enumerate(rows):
        if row and row[0].startswith("#"):
            continue
        if any(row):
            return rows[first:]
    return []


def _filled(row: list[str]) -> int:
    """The number of cells up to the last that is not empty."""
    return max((place for place, cell in enumerate(row, start=1) if cell), default=0)


def _table(path: Path, rows: Sequence[Sequence[str]], notes: list[str]) -> pd.DataFrame:
    """Rows of text as a frame; the first names the columns."""
    body = _below_descriptions(path, [list(row) for row in rows[1:] if any(row)], notes)
    body = _less_remarks(path, body, notes)
    if not body:
        raise InputError(f"{path}: is empty: it has no rows below the column names.")
    header = _aligned_header(rows[0], body)
    body = _aligned_body(path, len(header), body, notes)
    table = pd.DataFrame(body, columns=pd.Index(header, dtype=object), dtype=object)
    table = table.mask(table == "", np.nan)
    table = table.loc[:, (table.columns != "") | table.notna().any().to_numpy()]
    repeated = table.columns[table.columns.duplicated()].unique().tolist()
    if "" in repeated:
        named = listed([f"'{name}'" for name in header if name], 3)
        raise InputError(
            f"{path}: {header.count('')} of {len(header)} columns have no name, and cells below; "
            f"the first row holds {named}. If a title stands above the column names, delete it; "
            "else name the columns."
        )
    if repeated:
        names = listed([f"'{name}'" for name in repeated])
        raise InputError(f"{path}: several columns are called {names}; rename them.")
    return table


def _below_descriptions(path: Path, body: list[list[str]], notes: list[str]) -> list[list[str]]:
    """The rows less those, of TCGA's biotab files, that say what the columns are."""
    described = [n for n, row in enumerate(body[:3], start=1) if any(map(_is_cde, row))]
    if not described:
        return body
    notes.append(
        f"{path}: the first {described[-1]} rows below the header describe the columns (CDE_ID) "
        "and were left out."
    )
    return body[described[-1] :]


def _less_remarks(path: Path, body: list[list[str]], notes: list[str]) -> list[list[str]]:
    """The rows less those that hold nothing but a remark after ``#``."""
    remarks = [row[0] for row in body if row[0].startswith("#") and not any(row[1:])]
    if not remarks or max(map(len, body)) == 1:
        return body
    notes.append(
        f"{path}: rows below the header that hold a remark alone were left out ({len(remarks)}), "
        f"such as '{remarks[0]}'."
    )
    return [row for row in body if not row[0].startswith("#") or any(row[1:])]


def _is_cde(cell: str) -> bool:
    """Whether a cell is an id of caDSR's common data elements."""
    return cell.startswith("CDE_ID:")


def _aligned_header(header: Sequence[str], body: list[list[str]]) -> list[str]:
    """The header, with a nameless first column where R's ``write.table`` left out its name."""
    widths = {len(row) for row in body}
    if widths == {len(header) + 1} and all(header):
        return ["", *header]
    return list(header)


def _aligned_body(
    path: Path, width: int, body: list[list[str]], notes: list[str]
) -> list[list[str]]:
    """The rows, as wide as the header; cells beyond it must be empty."""
    wide = [str(n) for n, row in enumerate(body, start=1) if any(row[width:])]
    if len(wide) == len(body):
        raise InputError(
            f"{path}: its first row names {width} columns, and all rows below have more cells; if "
            "a title stands above the column names, delete it."
        )
    if wide:
        raise InputError(
            f"{path}: row {listed(wide)} below the header has more cells than there are column "
            f"names ({width}); put a cell that holds the delimiter in quotes, and a decimal comma "
            "as a point."
        )
    short = [str(n) for n, row in enumerate(body, start=1) if len(row) < width]
    if short:
        notes.append(
            f"{path}: {len(short)} of {len(body)} rows end before the last column (row "
            f"{listed(short, 3)} below the header); their last cells count as empty. Was the file "
            "cut?"
        )
    return [row[:width] + [""] * (width - len(row)) for row in body]
