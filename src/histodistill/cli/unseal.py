"""The `histodistill unseal` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import answer, located, say
from histodistill.cli.options import Json


def command(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="Output folder of crossval, suite or ablate.")
    ],
    _json: Json = False,
) -> None:
    """Open the sealed answers to test patients, once; writes down when, and on what configuration.

    With `splits: {seal: true}` nobody sees a figure of test patients while choices are made. What
    is trained after the opening is told as such by the report.
    """
    from histodistill.workflows.unsealing import unseal

    made = unseal(run.resolve())
    say(f"Opened at {made.opening.time}, configuration {made.opening.configuration[:12]}")
    say(f"Predictions: {located(made.predictions)}")
    answer(predictions=made.predictions, opened=made.opening.model_dump())
