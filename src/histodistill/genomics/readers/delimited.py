"""Large delimited text files of numbers, plain or gzipped, with errors that name the cell."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.gate.archives import unzipped
from histodistill.gate.plain import MB

MISSING = ("", "NA", "NaN", "nan", "N/A", "n/a", "null", "NULL")

# Whole genomes of ten thousand patients.
_MOST_BYTES = 16 * 1024 * MB
# A header of 100,000 samples with long names has a tenth of it.
_LINE_CHARACTERS = 64 * MB
# Wide tables (20,000 columns) are slow in small blocks: every block costs an array a column.
_BLOCK_BYTES = 1 << 26
_LISTED_PROBLEMS = 10


@dataclass(frozen=True)
class Header:
    """The head of a delimited file.

    Attributes:
        delimiter: Tab, comma or semicolon.
        columns: Column names as written.
        n_lines: Lines up to and including the header: leading comments, then the names.
    """

    delimiter: str
    columns: list[str]
    n_lines: int


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """Open a file for reading, decompressed where its content is gzip.

    Raises:
        InputError: The file is missing, unreadable, or a damaged or truncated gzip.
    """
    try:
        with unzipped(path, most=_MOST_BYTES) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(
            f"{path}: the gzip file is truncated or damaged; download or write it again."
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from error


def read_header(path: Path) -> Header:
    """Read the column names, after any lines that start with ``#``.

    Raises:
        InputError: The file cannot be read, is not text, or has no header.
    """
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
        try:
            lines = iter(lambda: text.readline(_LINE_CHARACTERS), "")
            for number, line in enumerate(lines, start=1):
                if len(line) == _LINE_CHARACTERS:
                    raise InputError(f"{path}: line {number} is too long for a table.")
                if line.strip() and not line.startswith("#"):
                    return _header(line, number)
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: is not a text table in UTF-8.") from error
    raise InputError(f"{path}: is empty; it needs a header line and one line or more of values.")


def _header(line: str, n_lines: int) -> Header:
    delimiter = max("\t,;", key=line.count)
    names = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter))
    return Header(delimiter, [name.strip() for name in names], n_lines)


def read_columns(
    path: Path, header: Header, *, texts: Sequence[int], numbers: Sequence[int]
) -> tuple[list[list[str]], NDArray[np.float32]]:
    """Read some columns as text and some as numbers.

    Args:
        path: A delimited file, plain or gzipped.
        header: Its header.
        texts: Positions of the columns wanted as text.
        numbers: Positions of the columns wanted as numbers.

    Returns:
        The text columns, and the numbers as float32 [n_rows, n_numbers] with NaN for missing.

    Raises:
        InputError: The file is damaged, a line has too few or too many cells, or a cell that
            should be a number is not; names the lines and columns.
    """
    try:
        table = _parse(path, header, texts, numbers)
    except pa.ArrowInvalid as error:
        problems = _malformed(path, header, numbers)
        raise InputError(
            *(problems or [f"{path}: cannot be read as a table ({error})."])
        ) from error
    values = np.empty((table.num_rows, len(numbers)), dtype=np.float32)
    for place, column in enumerate(numbers):
        values[:, place] = table.column(str(column)).to_numpy()
    return [[cell.strip() for cell in table.column(str(c)).to_pylist()] for c in texts], values


def _parse(path: Path, header: Header, texts: Sequence[int], numbers: Sequence[int]) -> pa.Table:
    kinds = dict.fromkeys(map(str, texts), pa.string())
    kinds.update(dict.fromkeys(map(str, numbers), pa.float32()))
    with open_binary(path) as stream:
        return pyarrow.csv.read_csv(
            stream,
            # Positions stand in for the names, which may repeat.
            read_options=pyarrow.csv.ReadOptions(
                column_names=[str(position) for position in range(len(header.columns))],
                skip_rows=header.n_lines,
                block_size=_BLOCK_BYTES,
            ),
            parse_options=pyarrow.csv.ParseOptions(delimiter=header.delimiter),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), null_values=list(MISSING)
            ),
        )


def _malformed(path: Path, header: Header, numbers: Sequence[int]) -> list[str]:
    """Find the cells that stopped the fast parser; slow, so only after it has failed."""
    problems: list[str] = []
    n_more = 0
    for problem in _problems(path, header, numbers):
        if len(problems) < _LISTED_PROBLEMS:
            problems.append(problem)
        else:
            n_more += 1
    return [*problems, f"{path}: {n_more} more such problems."] if n_more else problems


def _problems(path: Path, header: Header, numbers: Sequence[int]) -> Iterator[str]:
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig") as text:
        lines = csv.reader(text, delimiter=header.delimiter)
        try:
            for cells in lines:
                if lines.line_num <= header.n_lines or not cells:
                    continue
                yield from _line_problems(path, header, numbers, lines.line_num, cells)
        except UnicodeDecodeError:
            yield f"{path}: is not a text table in UTF-8."
        except csv.Error as error:
            yield f"{path}: line {lines.line_num}: cannot be read as cells ({error})."


def _line_problems(
    path: Path, header: Header, numbers: Sequence[int], line: int, cells: list[str]
) -> Iterator[str]:
    where = f"{path}: line {line} ({cells[0]})"
    if len(cells) != len(header.columns):
        yield f"{where} has {len(cells)} cells where the header has {len(header.columns)}."
        return
    for column in numbers:
        cell = cells[column].strip()
        if cell not in MISSING and not is_number(cell):
            yield f"{where}, column {header.columns[column]}: {cell!r} is not a number."


def is_number(text: str) -> bool:
    """Whether a cell is a decimal number as tables write it."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
