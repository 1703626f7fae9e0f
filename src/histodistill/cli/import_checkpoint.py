"""The `histodistill import-checkpoint` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import located, say
from histodistill.deploy import convert_checkpoints
from histodistill.errors import InputError
from histodistill.model import NetworkName


def command(
    out: Annotated[Path, typer.Option(help="Folder of the bundle; must not exist yet.")],
    student: Annotated[Path | None, typer.Option(help="Student's state_dict.")] = None,
    genomic: Annotated[Path | None, typer.Option(help="Genomic teacher's state_dict.")] = None,
    multimodal: Annotated[Path | None, typer.Option(help="Multimodal teacher's.")] = None,
    genes: Annotated[
        Path | None, typer.Option(help="Text file: a gene a line, in the order of the tokens.")
    ] = None,
    target: Annotated[str, typer.Option(help="What the networks predict.")] = "ER",
    classes: Annotated[str, typer.Option(help="Class of output 0, then of output 1.")] = (
        "negative,positive"
    ),
    positive: Annotated[str, typer.Option(help="The positive class.")] = "positive",
) -> None:
    """Convert checkpoints of the authors' released code into a bundle for `predict`."""
    given: dict[NetworkName, Path | None] = {
        "student": student,
        "multimodal": multimodal,
        "genomic": genomic,
    }
    names = tuple(name.strip() for name in classes.split(","))
    if len(names) != 2 or positive not in names:
        raise InputError("--classes names two classes, and --positive is one of them")
    bundle = convert_checkpoints(
        {name: path for name, path in given.items() if path is not None},
        target=target,
        classes=(names[0], names[1]),
        positive=positive,
        genes=_read_genes(genes) if genes else (),
    )
    bundle.save(out)
    say(f"Bundle: {located(out)} ({', '.join(bundle.networks)})")


def _read_genes(path: Path) -> list[str]:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    lines = path.read_text(encoding="utf-8").splitlines()
    genes = [line.strip() for line in lines if line.strip()]
    if len(set(genes)) != len(genes):
        raise InputError(f"{path}: a gene is listed twice")
    return genes
