"""Large delimited text files of numbers, plain or gzipped, with errors that name the cell."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.genomics.readers.header import NOT_UTF8, Header, open_binary
from histodistill.tables.text import no_text

MISSING = ("", "NA", "NaN", "nan", "N/A", "n/a", "na", "null", "NULL")

# Wide tables (20,000 columns) are slow in small blocks: every block costs an array a column.
_BLOCK_BYTES = 1 << 26
_LISTED_PROBLEMS = 10


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
    cells = [[cell.strip() for cell in table.column(str(c)).to_pylist()] for c in texts]
    _require_text(path, header, cells)
    return cells, values


def _require_text(path: Path, header: Header, columns: list[list[str]]) -> None:
    """Refuse names of genes and samples that hold NUL bytes or other control characters."""
    for column in columns:
        for line, cell in enumerate(column, start=header.n_lines + 1):
            if (fault := no_text(cell)) is not None:
                raise InputError(f"{path}: line {line} ({cell!r}) {fault}")


def _parse(path: Path, header: Header, texts: Sequence[int], numbers: Sequence[int]) -> pa.Table:
    try:
        return _parsed(path, header, texts, numbers, None)
    except pa.ArrowInvalid:
        # Blank lines of any width may be all that is wrong. To a handler of lines pyarrow gives
        # text, and where a line is none it prints a traceback, whatever the handler does.
        _require_encoding(path, header)
        return _parsed(path, header, texts, numbers, _skip_if_blank)


def _parsed(
    path: Path,
    header: Header,
    texts: Sequence[int],
    numbers: Sequence[int],
    on_odd_line: Callable[[pyarrow.csv.InvalidRow], str] | None,
) -> pa.Table:
    kinds = dict.fromkeys(map(str, texts), pa.string())
    kinds.update(dict.fromkeys(map(str, numbers), pa.float32()))
    with open_binary(path) as stream:
        return pyarrow.csv.read_csv(
            stream,
            # Positions stand in for the names, which may repeat.
            read_options=pyarrow.csv.ReadOptions(
                column_names=[str(position) for position in range(len(header.columns))],
                skip_rows=header.n_lines,
                encoding=header.encoding.removesuffix("-sig"),
                block_size=_BLOCK_BYTES,
            ),
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=header.delimiter, invalid_row_handler=on_odd_line
            ),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=kinds,
                include_columns=list(kinds),
                null_values=[*MISSING, " "],
                decimal_point=header.decimal,
            ),
        )


def _skip_if_blank(row: pyarrow.csv.InvalidRow) -> str:
    return "error" if row.text.strip(" \t,;") else "skip"


def _require_encoding(path: Path, header: Header) -> None:
    """Refuse a file that is not of the encoding that its start tells."""
    try:
        with open_binary(path) as stream:
            decoder = codecs.getincrementaldecoder(header.encoding)()
            for block in iter(partial(stream.read, _BLOCK_BYTES), b""):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeError as error:
        raise InputError(f"{path}: {NOT_UTF8}") from error


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
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding=header.encoding) as text:
        lines = csv.reader(text, delimiter=header.delimiter)
        try:
            for cells in lines:
                if lines.line_num <= header.n_lines or not any(map(str.strip, cells)):
                    continue
                yield from _line_problems(path, header, numbers, lines.line_num, cells)
        except UnicodeError:
            yield f"{path}: {NOT_UTF8}"
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
        if header.decimal == ",":
            cell = cell.replace(",", ".")
        if cell not in MISSING and not is_number(cell):
            yield f"{where}, column {header.columns[column]}: {cell!r} is not a number."


def is_number(text: str) -> bool:
    """Whether a cell is a decimal number as tables write it."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text
