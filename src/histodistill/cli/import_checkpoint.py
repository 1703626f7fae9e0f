"""The `histodistill import-checkpoint` command."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import located, say, say_notes
from histodistill.errors import InputError, listed
from histodistill.gate.plain import MB, content

if TYPE_CHECKING:
    from histodistill.model import NetworkName


def command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the bundle; must not exist yet.")
    ],
    student: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The student's state_dict.")
    ] = None,
    genomic: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The genomic teacher's state_dict.")
    ] = None,
    multimodal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The multimodal teacher's state_dict.")
    ] = None,
    genes: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Text: a gene a line, in the order of the tokens."),
    ] = None,
    target: Annotated[str, typer.Option(metavar="NAME", help="What the networks predict.")] = "ER",
    classes: Annotated[
        str, typer.Option(metavar="A,B", help="Class of output 0, then of output 1.")
    ] = "negative,positive",
    positive: Annotated[str, typer.Option(metavar="NAME", help="The positive class.")] = "positive",
) -> None:
    """Convert checkpoints of the authors' released code into a bundle for `predict`.

    Any of the three may be absent. Without --genes the bundle predicts from slides alone.
    The checkpoints hold no operating threshold: give `predict` one to have calls.
    """
    from histodistill.deploy import convert_checkpoints

    given: dict[NetworkName, Path | None] = {
        "student": student,
        "multimodal": multimodal,
        "genomic": genomic,
    }
    names = tuple(name.strip() for name in classes.split(","))
    if len(set(names)) != 2 or len(names) != 2 or "" in names or positive not in names:
        raise InputError("--classes names two classes, and --positive is one of them")
    bundle = convert_checkpoints(
        {name: path for name, path in given.items() if path is not None},
        target=target,
        classes=(names[0], names[1]),
        positive=positive,
        genes=_read_genes(genes) if genes else (),
    )
    bundle.save(out)
    if genes is None and bundle.networks != ("student",):
        say_notes(["without --genes the bundle predicts from slides alone"])
    say(f"Bundle: {located(out)} ({', '.join(bundle.networks)})")


def _read_genes(path: Path) -> list[str]:
    try:
        lines = content(path, most=64 * MB).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a text of gene names ({error})") from error
    genes = [line.strip() for line in lines if line.strip()]
    twice = sorted(gene for gene, times in Counter(genes).items() if times > 1)
    if twice:
        raise InputError(f"{path}: genes are listed more than once: {listed(twice)}")
    if not genes:
        raise InputError(f"{path}: holds no gene; give a gene a line")
    return genes
