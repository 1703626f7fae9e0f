"""Text tables: from bytes to rows of cells, whatever the encoding and the delimiter."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from histodistill.errors import InputError

_DELIMITERS = (",", ";", "\t", "|")
# The delimiter of R's write.table, which puts every name in quotes.
_BLANK = " "
# What Excel writes above a table to say its delimiter.
_SEP_LINE = re.compile(r'"?sep=.?"?', re.IGNORECASE)
# Characters without a width, which copied texts carry along.
_WIDTHLESS = str.maketrans("", "", "\u200b\u200c\u200d\u2060\ufeff")
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1f]")
_SAMPLED_LINES, _SAMPLED_CHARACTERS = 50, 1_000_000
_SHOWN_CHARACTERS = 60


def text_rows(path: Path, content: bytes, notes: list[str]) -> list[list[str]]:
    """Cut a text table into rows of stripped cells, the header first.

    Args:
        path: The file that messages name.
        content: Its bytes, decompressed.
        notes: Takes the encoding, where it had to be guessed, and a last line without an end.

    Returns:
        The rows from the header on; empty lines are left out.

    Raises:
        InputError: The content is no text, or its quotes do not close.
    """
    text = decoded(path, content, notes)
    lines = io.StringIO(_from_header(text), newline="")
    reader = csv.reader(lines, delimiter=_delimiter(lines.getvalue()), strict=True)
    try:
        rows = [[stripped(cell) for cell in row] for row in reader]
    except csv.Error as error:
        raise InputError(
            f"{path}: cannot be read as a table: line {reader.line_num} below its comments: "
            f"{error}; is a quotation mark missing there?"
        ) from None
    rows = [row for row in rows if any(row)]
    if not rows:
        raise InputError(f"{path}: is empty.")
    if len(rows) > 1 and (unended := unended_line(text)) is not None:
        notes.append(f"{path}: {unended}")
    return rows


def stripped(cell: str) -> str:
    """A cell without blanks around it, and without characters that nobody sees."""
    return cell.translate(_WIDTHLESS).strip()


def unended_line(text: str) -> str | None:
    """The end of a sentence about a last line without a line end; None where it has one.

    Nothing else tells a table that was cut within its last cell from a whole one.

    Args:
        text: The text, or its end.
    """
    if text.endswith(("\n", "\r")):
        return None
    last = text[max(text.rfind("\n"), text.rfind("\r")) + 1 :]
    # Where it was cut shows at its end.
    shown = last if len(last) <= _SHOWN_CHARACTERS else f"...{last[-_SHOWN_CHARACTERS:]}"
    return (
        f"its last line, '{shown}', does not end as the others do; if the file was cut there, "
        "copy it again."
    )


def decoded(path: Path, content: bytes, notes: list[str]) -> str:
    """The text of a file: UTF-8 or UTF-16, else Windows-1252, which a note tells.

    Raises:
        InputError: It holds NUL bytes or other characters that no text has.
    """
    encoding = _marked_encoding(content)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = _western(path, content, notes)
    _require_text(path, text)
    return text


def _marked_encoding(content: bytes) -> str:
    """The encoding that a byte order mark, or zeros in every other byte, tells; else UTF-8."""
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    head = content[:1000]
    if len(content) % 2 == 0 and head[1::2].count(0) == len(head) // 2:
        return "utf-16-le"
    if len(content) % 2 == 0 and head[::2].count(0) == len(head) // 2:
        return "utf-16-be"
    return "utf-8-sig"


def _western(path: Path, content: bytes, notes: list[str]) -> str:
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        raise InputError(
            f"{path}: is neither UTF-8 nor Windows text; save it as 'CSV UTF-8'."
        ) from None
    odd = next(line for line in text.splitlines() if not line.isascii())
    notes.append(
        f"{path}: is not UTF-8, so it was read as Windows-1252 (Latin-1), for example "
        f"'{odd.strip()[:60]}'; if letters are wrong there, save it as 'CSV UTF-8'."
    )
    return text


def _require_text(path: Path, text: str) -> None:
    """Refuse NUL bytes, which cut a cell in many programs, and other control characters."""
    found = _NO_TEXT.search(text)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        raise InputError(f"{path}: line {line} {no_text(text)}")


def no_text(text: str) -> str | None:
    """The end of a sentence about a text that holds what no text does; None where it does not."""
    found = _NO_TEXT.search(text)
    if found is None:
        return None
    what = "a NUL byte" if found[0] == "\0" else f"the control character {found[0]!r}"
    return f"holds {what}: the file is damaged or no text table; copy or export it again."


def is_marked_header(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a first row that begins with ``#`` names the columns (``#PATIENT,ER``).

    It does where it stands alone, a name follows the sign at once, and all rows below have as many
    cells. Comments come in several lines (cBioPortal), or hold other numbers of cells.
    """
    name = first[0].removeprefix("#") if first else ""
    if len(first) < 2 or not all(first) or not name or name == first[0] or name[0] in "# ":
        return False
    return bool(below) and all(
        len(row) == len(first) and not row[0].startswith("#") for row in below
    )


def _marked_header(text: str) -> bool:
    """Whether the first line of a text is such a header."""
    lines = [line for line in text[:_SAMPLED_CHARACTERS].splitlines() if line.strip()]
    lines = lines[:_SAMPLED_LINES]
    if not lines or not lines[0].startswith("#"):
        return False
    rows = list(csv.reader(lines, delimiter=_delimiter("\n".join(lines))))
    return is_marked_header([cell.strip() for cell in rows[0]], rows[1:])


def _from_header(text: str) -> str:
    """The text without the empty and comment lines (``#``) above the header."""
    if _marked_header(text):
        return text.replace("#", "", 1)
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)].strip()
        comment = line.lstrip('"').startswith("#") or _SEP_LINE.fullmatch(line.rstrip(",;\t|"))
        if line.strip(",;\t| ") and not comment:
            return text[start:]
        if end < 0:
            return ""
        start = end + 1
    return ""


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into equally many fields, and the most of them."""
    lines = [line for line in text[:_SAMPLED_CHARACTERS].splitlines() if line.strip()]
    lines = lines[:_SAMPLED_LINES]
    if not lines:
        return ","

    def quality(delimiter: str) -> tuple[bool, int]:
        fields = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        # R's write.table names one column less than it writes.
        alike = len(set(fields)) == 1 or set(fields[1:]) == {fields[0] + 1}
        return fields[0] > 1 and alike, fields[0]

    by_blanks, fields = quality(_BLANK)
    written_by_r = by_blanks and (lines[0].startswith('"') or _only_blanks(lines, fields))
    return max((*_DELIMITERS, _BLANK) if written_by_r else _DELIMITERS, key=quality)


def _only_blanks(lines: Sequence[str], fields: int) -> bool:
    """Whether blanks part names without quotes: three or more, and no other delimiter occurs."""
    return fields > 2 and not any(mark in line for line in lines for mark in _DELIMITERS)
