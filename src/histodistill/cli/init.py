"""The `histodistill init` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import counted, located, say
from histodistill.errors import InputError


def command(
    clinical: Annotated[
        Path,
        typer.Option(metavar="FILE", help="The clinical table: a row a patient, any source."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The experiment's file to write.")],
    features: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of patch features, one file a slide."),
    ] = None,
    genomics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE", help="A genomic block, such as mrna=expression.txt; repeatable."
        ),
    ] = None,
    slides: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder of slide images, or the table that says whose each slide is.",
        ),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask about choices of taste; else take the defaults.")
    ] = False,
) -> None:
    """Draft an experiment from your files: every choice is made and explained in the YAML.

    Layouts, columns, classes, codes for unknown, scales, hospitals and follow-up are recognised.
    What only a person can decide is said here and marked DECIDE in the file.
    """
    from histodistill.drafting import Given, draft_experiment
    from histodistill.drafting.draft import require_absent

    require_absent(out)
    given = Given(clinical, features, slides, _blocks(genomics or []))
    draft = draft_experiment(given, out, _asked if ask else None)
    draft.save(out)
    for sentence in draft.reasons("methods"):
        say(sentence)
    for sentence in draft.decisions:
        say(f"Decide: {sentence}")
    say(f"Experiment: {located(out.absolute())}")
    if draft.decisions:
        say(f"{counted(len(draft.decisions), 'thing')} to decide, marked DECIDE in the file.")
    say(f"Next: histodistill audit {located(out.absolute())}")


def _asked(question: str, default: bool) -> bool:
    return typer.confirm(question, default=default)


def _blocks(items: list[str]) -> dict[str, Path]:
    blocks: dict[str, Path] = {}
    for item in items:
        name, equals, file = item.partition("=")
        if not (name and equals and file) or name in blocks:
            raise InputError(f"--genomics {item}: write NAME=FILE, each block once")
        blocks[name] = Path(file)
    return blocks
