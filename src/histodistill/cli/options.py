"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.computing.device import DEVICE_HELP
from histodistill.errors import InputError

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="The experiment: one YAML file.")
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")]
Device = Annotated[str, typer.Option(metavar="NAME", help=DEVICE_HELP)]
Jobs = Annotated[
    int, typer.Option(min=1, metavar="N", help="Trainings at the same time, each in a process.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Threads of each training; by default the cores are divided among the jobs. Results "
        "are the same for any number of jobs as long as this number is.",
    ),
]
# The group acts on it, whatever the command: a command takes it only to know the word.
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object; all messages go to the error stream."),
]


def one_of(kind: str, chosen: str | None, known: list[str]) -> str:
    """The chosen name, or the only one there is.

    Raises:
        InputError: An unknown name, or none where there are several.
    """
    if chosen is None and len(known) == 1:
        return known[0]
    if chosen not in known:
        given = f"no {kind} {chosen!r}" if chosen else f"say which {kind}"
        raise InputError(f"{given}: --{kind} is one of {', '.join(known)}")
    return chosen


def require_used(*options: tuple[str, object, str, object]) -> None:
    """Refuse options that would have no effect.

    Args:
        *options: Name and value of an option, what it needs, and whether that is there.

    Raises:
        InputError: Options were given without what they need.
    """
    problems = [
        f"{name} has no effect without {needed}."
        for name, value, needed, there in options
        if value and not there
    ]
    if problems:
        raise InputError(*problems)
