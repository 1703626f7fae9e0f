"""Where the command line prints: for a person, or one JSON object for a script."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from histodistill.cli.json_answer import JsonAnswer

if TYPE_CHECKING:
    import pandas as pd

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

# Longer names are broken where a terminal has no room for them.
_LONGEST_WORD = 24

_OF_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)

# What a script will read, or nothing where a person does.
_answer: JsonAnswer | None = None


@contextmanager
def answering(in_json: bool) -> Iterator[None]:
    """Print all that the block says on the error stream, and at its end one JSON object.

    The object holds what was given to :func:`answer`, and all notes and problems.

    Args:
        in_json: Whether a script asked for it; else the block prints as ever.
    """
    global _answer
    if not in_json:
        yield
        return
    _answer = answered = JsonAnswer()
    console.stderr = True
    try:
        yield
    finally:
        _answer = None
        console.stderr = False
        sys.stdout.write(answered.text())


def answer(**values: object) -> None:
    """Give results to the script that reads them; a person reads what is said.

    Args:
        **values: By their names in the JSON object: numbers, texts, paths, tables (a list of
            rows), and mappings and sequences of these.
    """
    if _answer is not None:
        _answer.values.update(values)


def say(sentence: str) -> None:
    """Print a plain sentence, never read as markup."""
    console.print(sentence, markup=False, soft_wrap=True)


def say_problems(problems: Iterable[str]) -> None:
    """Print problems, one a line, on the error stream."""
    for problem in problems:
        if _answer is not None:
            _answer.problems.append(problem)
        errors.print("[red]Problem:[/red]", end=" ")
        errors.print(problem, markup=False, soft_wrap=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print notes, one a line."""
    for note in notes:
        if _answer is not None:
            _answer.notes.append(note)
        say(f"Note: {note}")


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Say warnings of this and other packages as notes, once each.

    What they warn developers of, such as names that will change, is nothing to a user.
    """
    told: set[str] = set()

    def tell(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        del lineno, file, line  # Python passes them as well
        text = _warning(str(message), filename)
        if not issubclass(category, _OF_DEVELOPERS) and text not in told:
            told.add(text)
            say_notes([text])

    with warnings.catch_warnings():
        warnings.showwarning = tell
        yield


def _warning(message: str, filename: str) -> str:
    """The first paragraph of a warning, with the package that it is of where that is another."""
    parts = Path(filename).parts
    foreign = "site-packages" in parts and "histodistill" not in parts
    package = f"{parts[parts.index('site-packages') + 1]}: " if foreign else ""
    return package + " ".join(message.strip().partition("\n\n")[0].split())


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table."""
    from pandas.api.types import is_numeric_dtype

    # Two blanks between columns: the tables of results fit a terminal of 80.
    shown = Table(
        title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0)
    )
    for name in table.columns:
        # A long name goes on in the next line: cut short it could be another one. Where room is
        # short, cells of several words give way before names do.
        shown.add_column(
            str(name),
            justify="right" if is_numeric_dtype(table[name]) else "left",
            overflow="fold",
            no_wrap=_is_one_word(str(name), *map(_cell, table[name])),
        )
    for row in table.itertuples(index=False):
        shown.add_row(*(escape(_cell(value)) for value in row))
    console.print(shown)


def _is_one_word(*texts: str) -> bool:
    return all(len(text.split()) <= 1 and len(text) <= _LONGEST_WORD for text in texts)


def counted(number: int, thing: str) -> str:
    """A number with its noun."""
    plural = f"{thing}es" if thing.endswith("ch") else f"{thing}s"
    return f"{number} {thing if number == 1 else plural}"


def located(path: Path) -> str:
    """A path as the user would type it: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def with_interval(value: float, low: float, high: float) -> str:
    """A figure with its 95 % interval."""
    return _cell(value) if math.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.3f}"
    return str(value)
