"""The `histodistill compare` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import located, say, say_notes, show
from histodistill.cli.options import OutFolder
from histodistill.errors import InputError
from histodistill.evaluation import compare, contenders_in, read_predictions
from histodistill.report import plain_table, write_csv, write_table


def command(
    predictions: Annotated[
        list[Path], typer.Argument(metavar="PREDICTIONS...", help="One or more predictions.csv.")
    ],
    reference: Annotated[
        str,
        typer.Option(metavar="NAME", help='What the others are compared with: "METHOD NETWORK".'),
    ],
    out: OutFolder,
    common_patients: Annotated[
        bool,
        typer.Option(
            help="Compare two that answer different patients on those that both answer, "
            "or refuse to."
        ),
    ] = True,
) -> None:
    """Compare methods on the same patients: DeLong and paired bootstrap, Holm-adjusted.

    With several files, each contender is named after its file's folder as well.
    """
    several = len(predictions) > 1
    contenders = [
        contender
        for path in predictions
        for contender in contenders_in(
            read_predictions(path), prefix=f"{path.resolve().parent.name}: " if several else ""
        )
    ]
    if len(contenders) < 2:
        raise InputError("nothing to compare: the predictions hold a single method and network")
    table = compare(contenders, reference, common_patients=common_patients)
    shown = ["target", "contender", "auc", "difference", "low", "high", "p_delong", "p_holm"]
    show(table[shown], f"Against {reference}")
    say_notes(sorted({note for note in table["notes"] if note}))
    write_csv(table, out / "comparison.csv")
    write_table(plain_table(table), out, "comparison", f"Differences from {reference}.")
    say(f"Tables: {located(out)}")
