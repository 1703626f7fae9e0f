"""The errors that users see: plain sentences that name the file, patient or column."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import TypeVar

T = TypeVar("T")


class HistodistillError(Exception):
    """Base of every error that histodistill raises on purpose.

    The command line prints its message without a traceback.
    """


class InputError(HistodistillError):
    """Something in the user's files or settings is wrong.

    A reader that finds several problems raises them all at once, so that the user mends
    everything in one go. ``problems`` holds one sentence each: what is wrong, where (file,
    patient, column), and what to do.

    Args:
        *problems: One or more plain sentences.
    """

    def __init__(self, *problems: str) -> None:
        if not problems:
            raise ValueError("InputError needs at least one problem")
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems


class AnswersSealedError(HistodistillError):
    """All is trained, and the answers to test patients stay sealed: nothing is wrong."""


class Problems:
    """Runs every check and keeps what each finds wrong, so that all is told at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def attempt(self, check: Callable[[], T]) -> T | None:
        """What a check returns, or None where it raised an InputError."""
        try:
            return check()
        except InputError as error:
            self.found.extend(error.problems)
            return None

    def add(self, problems: Iterable[str]) -> None:
        """Keep more problems."""
        self.found.extend(problems)

    def raise_any(self) -> None:
        """End here if anything was found.

        Raises:
            InputError: All of it.
        """
        if self.found:
            raise InputError(*dict.fromkeys(self.found))


def listed(names: list[str] | tuple[str, ...], limit: int = 10) -> str:
    """Join names for a message, cut to ``limit`` with the number left out."""
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"


def meant(name: str, known: Iterable[str]) -> str:
    """What an unknown name may have been meant to be: the known ones of like spelling, or all."""
    names = list(known)
    close = get_close_matches(name, names, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(names)}"


def cause_of(error: Exception) -> str:
    """What an error that nobody foresaw says, and the line of code that raised it."""
    told = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    frames = traceback.extract_tb(error.__traceback__)
    return f"{told} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else told
