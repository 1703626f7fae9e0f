"""The head of a delimited text file: the names of its columns, and how its values are written."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from histodistill.errors import InputError
from histodistill.gate.archives import GZIP, unzipped
from histodistill.gate.no_tables import HEAD_BYTES, require_table
from histodistill.gate.plain import MB, opened
from histodistill.gate.stand_ins import require_fetched
from histodistill.tables.text import no_text, unended_line

NOT_UTF8 = (
    "is not a text table in UTF-8; save it as UTF-8 (in a terminal: iconv -f WINDOWS-1252 -t UTF-8 "
    "FILE > NEW)."
)

# Whole genomes of ten thousand patients.
_MOST_BYTES = 16 * 1024 * MB
# A header of 100,000 samples with long names has a tenth of it.
_LINE_CHARACTERS = 64 * MB
_SAMPLED_LINES, _SAMPLED_CHARACTERS = 20, 4 * MB
# Even, so that no character of UTF-16 is cut.
_LAST_BYTES = 4096
_UTF16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}

# What R and pandas call a column of names of rows, at once or when it is read and written again.
_NAMES_OF_ROWS = frozenset({"", "Unnamed: 0", "X", "...1", "rowname", "rownames", "row.names"})

_WITH_COMMA = re.compile(r"[+-]?[\d.]*,[\d.,]*\d(?:[eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
_DECIMAL_POINT = re.compile(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?")
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True)
class Header:
    """The head of a delimited file.

    Attributes:
        delimiter: Tab, comma, semicolon or bar; a blank in R's ``write.table``.
        columns: Column names as written; the first is empty where the rows have names and their
            column has none, as R writes them.
        n_lines: Lines up to and including the header: leading comments, then the names.
        encoding: UTF-8, or UTF-16 where the file is marked so.
        decimal: The decimal mark, a point or a comma.
        first_cells: The first cell of some lines below.
    """

    delimiter: str
    columns: list[str]
    n_lines: int
    encoding: str = "utf-8-sig"
    decimal: str = "."
    first_cells: tuple[str, ...] = ()

    @property
    def has_names_of_rows(self) -> bool:
        """Whether the first column holds names of rows without saying of what."""
        return self.columns[0] in _NAMES_OF_ROWS

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed of the file, in sentences."""
        return (
            ("Commas in its numbers were read as decimal commas.",) if self.decimal == "," else ()
        )


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


def read_header(path: Path, *, above: int = 0) -> Header:
    """Read the column names, after any lines that start with ``#``.

    Args:
        path: A delimited file, plain or gzipped.
        above: Lines to pass over, whatever they hold.

    Raises:
        InputError: The file cannot be read, is not text, has no header, or writes its numbers in
            a way that can be read as several.
    """
    with open_binary(path) as stream:
        start = stream.read(HEAD_BYTES)
    require_fetched(path, start)
    require_table(path, start)
    encoding = "utf-16" if start[:2] in _UTF16 else "utf-8-sig"
    with open_binary(path) as stream, io.TextIOWrapper(stream, encoding=encoding) as text:
        try:
            for number, line in enumerate(_lines(text), start=1):
                if len(line) == _LINE_CHARACTERS:
                    raise InputError(f"{path}: line {number} is too long for a table.")
                if (fault := no_text(line)) is not None:
                    raise InputError(f"{path}: line {number} {fault}")
                if number > above and line.strip() and not line.startswith("#"):
                    return _header(path, line, _sampled(text), number, encoding)
        except UnicodeError as error:
            raise InputError(f"{path}: {NOT_UTF8}") from error
        except csv.Error as error:
            raise InputError(f"{path}: cannot be read as cells ({error}).") from error
    raise InputError(f"{path}: is empty; it needs a header line and one line or more of values.")


def last_line_notes(path: Path) -> tuple[str, ...]:
    """A note of a last line without an end, as where a text table was cut.

    A gzip file tells by its checksum that it was cut, and is not unpacked once more.
    """
    with opened(path) as stream:
        start = stream.read(2)
        if start == GZIP:
            return ()
        stream.seek(max(0, stream.seek(0, io.SEEK_END) - _LAST_BYTES))
        end = stream.read()
    unended = unended_line(end.decode(_UTF16.get(start, "utf-8"), errors="replace"))
    return () if unended is None else (f"{path}: {unended}",)


def _lines(text: TextIO) -> Iterator[str]:
    return iter(lambda: text.readline(_LINE_CHARACTERS), "")


def _sampled(text: TextIO) -> list[str]:
    lines: list[str] = []
    for line in _lines(text):
        lines.append(line)
        if len(lines) == _SAMPLED_LINES or sum(map(len, lines)) > _SAMPLED_CHARACTERS:
            break
    return lines


def _header(path: Path, line: str, below: list[str], n_lines: int, encoding: str) -> Header:
    """The head of a file, from its line of names and some lines of values below it."""
    delimiter = max("\t,;|", key=line.count)
    unparted = not any(mark in text for text in (line, *below) for mark in "\t,;|")
    if delimiter not in line and (line.startswith('"') or unparted):  # R's write.table as it is
        delimiter = " "
    first, *rows = csv.reader([line.rstrip("\r\n"), *below], delimiter=delimiter)
    names = [name.strip() for name in first]
    rows = [row for row in rows if any(map(str.strip, row))]
    # R's write.table does not name the column of row names.
    if rows and all(names) and all(len(row) == len(names) + 1 and row[-1] for row in rows):
        names = ["", *names]
    decimal = _decimal(path, [cell.strip() for row in rows for cell in row[1:]])
    return Header(
        delimiter, names, n_lines, encoding, decimal, tuple(row[0].strip() for row in rows)
    )


def _decimal(path: Path, cells: list[str]) -> str:
    """The decimal mark of some cells.

    Raises:
        InputError: Numbers have commas that may stand between thousands.
    """
    commas = [cell for cell in cells if _WITH_COMMA.fullmatch(cell)]
    if not commas:
        return "."
    if (
        all(map(_DECIMAL_COMMA.fullmatch, commas))
        and not all(map(_PERHAPS_THOUSANDS.fullmatch, commas))
        and not any(map(_DECIMAL_POINT.fullmatch, cells))
    ):
        return ","
    raise InputError(
        f"{path}: its numbers have commas, such as {commas[0]}, that may stand before decimals or "
        "between thousands; write the table with decimal points and nothing between thousands (in "
        "R: write.table(x, FILE, sep = '\\t', dec = '.', col.names = NA))."
    )
