"""Where the command line prints."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say(sentence: str) -> None:
    """Print a plain sentence, never read as markup."""
    console.print(sentence, markup=False, soft_wrap=True)


def say_problems(problems: Iterable[str]) -> None:
    """Print problems, one a line, on the error stream."""
    for problem in problems:
        errors.print("[red]Problem:[/red]", end=" ")
        errors.print(problem, markup=False, soft_wrap=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print notes, one a line."""
    for note in notes:
        say(f"Note: {note}")


def show(table: pd.DataFrame, title: str) -> None:
    """Print a table."""
    shown = Table(title=title, title_justify="left", show_edge=False)
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name])
        shown.add_column(str(name), justify="right" if numeric else "left")
    for row in table.itertuples(index=False):
        shown.add_row(*(_cell(value) for value in row))
    console.print(shown)


def counted(number: int, thing: str) -> str:
    """A number with its noun."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def located(path: Path) -> str:
    """A path as the user would type it: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.3f}"
    return str(value)
