"""The `histodistill compare` command."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, located, say, say_notes, show, with_interval
from histodistill.cli.options import Json, OutFolder
from histodistill.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


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
    _json: Json = False,
) -> None:
    """Compare methods on the same patients: DeLong and paired bootstrap, Holm-adjusted.

    With several files, each contender is named after its file's folder as well.
    """
    from histodistill.evaluation import compare, contenders_in, read_predictions
    from histodistill.report import plain_table, write_table
    from histodistill.spreadsheets import write_csv

    several = len(predictions) > 1
    notes: list[str] = []
    contenders = [
        contender
        for path in predictions
        for contender in contenders_in(
            read_predictions(path, notes),
            prefix=f"{path.resolve().parent.name}: " if several else "",
        )
    ]
    say_notes(notes)
    if len(contenders) < 2:
        raise InputError("nothing to compare: the predictions hold a single method and network")
    table = compare(contenders, reference, common_patients=common_patients)
    _show(table, reference)
    say_notes(sorted({note for note in table["notes"] if note}))
    write_csv(out / "comparison.csv", table)
    write_table(plain_table(table), out, "comparison", f"Differences from {reference}.")
    say(f"Tables: {located(out)}")
    answer(comparisons=table, tables=out)


def _show(table: pd.DataFrame, reference: str) -> None:
    differences = zip(table["difference"], table["low"], table["high"], strict=True)
    shown = table[["target", "contender", "auc"]].assign(
        difference=[with_interval(value, low, high) for value, low, high in differences],
        p=table["p_delong"].fillna(table["p_bootstrap"]).map(_p),
        holm=table["p_holm"].map(_p),
    )
    titles = {"difference": "difference [95 %]", "holm": "Holm"}
    show(shown.rename(columns=titles), f"Area under the ROC curve, against {reference}")


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return "<0.001" if value < 0.001 else f"{value:.3f}"
