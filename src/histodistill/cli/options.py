"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from histodistill.computing.device import DEVICE_HELP
from histodistill.errors import InputError

ExperimentFile = Annotated[
    Path, typer.Argument(metavar="EXPERIMENT", help="The experiment: one YAML file.")
]
OutFolder = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The model bundle.")]
OneTarget = Annotated[
    str | None,
    typer.Option(
        "--target", metavar="NAME", help="Which target, where the bundle answers several."
    ),
]
SomeTargets = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="NAME", help="Which targets, as often as needed; else all."),
]
AllowedCode = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PACKAGE.MODULE:CLASS",
        help="A network of another package that a model is made of, if you trust it.",
    ),
]
Device = Annotated[str, typer.Option(metavar="NAME", help=DEVICE_HELP)]


def _on(text: str) -> str:
    """Refuse an engine that there is not, before anything is read."""
    from histodistill.engines.choice import Place

    Place.named(text).require()
    return text


On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="ENGINE",
        callback=_on,
        help="Where it runs: local, this machine; ray or ray://HOST:PORT, a Ray cluster; slurm, "
        "arrays of jobs. Elsewhere all paths have to be seen by all machines.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Trainings at the same time, each in a process; by default 1 on this machine, and as "
        "many as there is room for elsewhere.",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Threads of each training; by default the cores are divided among the jobs, and 1 "
        "elsewhere. Results are the same for any number of jobs as long as this number is.",
    ),
]
TaskThreads = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="With --on ray or slurm: CPU cores of a task; by default 1."
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Show what would be done, how long it takes, and end."),
]
# The group acts on it, whatever the command: a command takes it only to know the word.
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object; all messages go to the error stream."),
]

LeaveOutMissing = Annotated[
    bool,
    typer.Option(
        "--leave-out-missing",
        help="With --slides-table: leave out files that it names and that are absent.",
        rich_help_panel="Slides",
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="With --features: layout of the files, as `features: layout` of an experiment.",
        rich_help_panel="Slides",
    ),
]

# As `explain` and `view` take them; `predict` says more of each.
SlidesTable = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Table PATIENT, FILENAME; else the file names tell."),
]
PatientPattern = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Regular expression of the patient in a file name."),
]
GenomicBlocks = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=FILE", help="A genomic block; as often as there are blocks."),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(min=0.01, metavar="MPP", help="µm/px of slides that record none."),
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


def some_of(kind: str, chosen: list[str] | None, known: list[str]) -> list[str]:
    """The chosen names, each once and in the order in which they are known; all without any.

    Raises:
        InputError: Unknown names.
    """
    unknown = [name for name in chosen or () if name not in known]
    if unknown:
        named = ", ".join(map(repr, unknown))
        raise InputError(f"no {kind} {named}: --{kind} is one of {', '.join(known)}")
    return [name for name in known if not chosen or name in chosen]


def require_used(context: typer.Context, needs: Mapping[str, Sequence[str]]) -> None:
    """Refuse options that were given and have no effect without others.

    Args:
        context: Of the command.
        needs: Parameters, and for each those of which one must be given too.

    Raises:
        InputError: A sentence for each.
    """
    names = {str(each.name): each.opts[0] for each in context.command.params}
    problems = [
        f"{names[option]} has no effect without {' or '.join(names[each] for each in needed)}."
        for option, needed in needs.items()
        if _is_given(context, option) and not any(_is_given(context, each) for each in needed)
    ]
    if problems:
        raise InputError(*problems)


def require_not(context: typer.Context, options: Sequence[str], where: str) -> None:
    """Refuse options that were given and have no effect.

    Args:
        context: Of the command.
        options: Parameters.
        where: Where they have none, as the end of a sentence.

    Raises:
        InputError: A sentence for each.
    """
    names = {str(each.name): each.opts[0] for each in context.command.params}
    given = [names[option] for option in options if _is_given(context, option)]
    if given:
        raise InputError(*(f"{name} has no effect {where}." for name in given))


def require_elsewhere(context: typer.Context, on: str, parameter: str) -> None:
    """Refuse an option that has no effect on this machine.

    Raises:
        InputError: It was given, and the work is done here.
    """
    if on == "local" and _is_given(context, parameter):
        raise InputError(f"--{parameter} has no effect without --on ray or --on slurm.")


def _is_given(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def named_files(given: Sequence[str]) -> dict[str, Path]:
    """The files of ``--genomics NAME=FILE``, by name.

    Raises:
        InputError: One is written otherwise, or a name is given twice.
    """
    files: dict[str, Path] = {}
    problems = []
    for item in given:
        name, _, path = item.partition("=")
        if not name or not path or name in files:
            problems.append(f"--genomics {item}: write NAME=FILE, each block once")
        files[name] = Path(path)
    if problems:
        raise InputError(*problems)
    return files


def cell_meanings(items: list[str]) -> dict[str, str | None]:
    """What --map says, by cell."""
    meanings: dict[str, str | None] = {}
    problems = []
    for item in items:
        cell, sign, name = (part.strip() for part in item.rpartition("="))
        if not sign or not cell or cell in meanings:
            problems.append(f"--map {item}: write CELL=CLASS, each cell once; CELL= for unknown")
        meanings[cell] = name or None
    if problems:
        raise InputError(*problems)
    return meanings
