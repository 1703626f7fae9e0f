"""The `histodistill evaluate` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import located, say, say_notes
from histodistill.cli.options import OutFolder
from histodistill.errors import InputError

if TYPE_CHECKING:
    import pandas as pd


def command(
    predictions: Annotated[
        list[Path],
        typer.Argument(
            metavar="PREDICTIONS...",
            help="Predictions: of crossval, or of predict with --clinical.",
        ),
    ],
    out: OutFolder,
    clinical: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Clinical table with the labels, for output of predict."),
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --clinical: name of the target.")
    ] = None,
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Its column; by default the target's name."),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="Its classes, separated by commas: negative,positive."
        ),
    ] = None,
    positive: Annotated[
        str | None, typer.Option(metavar="NAME", help="The positive one of two classes.")
    ] = None,
    patient_column: Annotated[
        str, typer.Option(metavar="NAME", help="Patient column of the table.")
    ] = "PATIENT",
    reference: Annotated[
        str | None,
        typer.Option(metavar="NAME", help='Compare everything with this: "METHOD NETWORK".'),
    ] = None,
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Headline of the report.")
    ] = "Evaluation",
) -> None:
    """Evaluate predictions: metrics with intervals, tables, plots and a report page.

    Out-of-fold predictions of `crossval` hold their labels. Predictions of `predict` for an
    external cohort get theirs from --clinical, --target, --classes and --positive.
    """
    import pandas as pd

    from histodistill.cli.results import show_aucs
    from histodistill.evaluation import (
        attach_labels,
        check_predictions,
        contenders_in,
        read_predictions,
    )
    from histodistill.report import Report, write_report
    from histodistill.tables import read_table

    if clinical is None:
        tables = [read_predictions(path) for path in predictions]
    else:
        labels = _labels(clinical, target, column, classes, positive, patient_column)
        tables = [
            attach_labels(
                read_table(path),
                labels,
                target=str(target),
                method=path.stem,
                positive_class=positive,
                source=str(path),
            )
            for path in predictions
        ]
    # One file's rows must not be averaged with another's that has the same method names.
    joined = check_predictions(
        pd.concat(tables, ignore_index=True), ", ".join(str(path) for path in predictions)
    )
    known = [contender.name for contender in contenders_in(joined)]
    if reference is not None and reference not in known:
        raise InputError(f"no contender {reference!r}: --reference is one of {', '.join(known)}")
    show_aucs(joined)
    page = write_report(out, Report(title=title, predictions=joined, reference=reference))
    say(f"Report: {located(page)}")


def _labels(
    clinical: Path,
    target: str | None,
    column: str | None,
    classes: str | None,
    positive: str | None,
    patient_column: str,
) -> pd.Series[str]:
    """Class name of every patient whose label is known."""
    from histodistill.cohort import declared_target, read_clinical

    if target is None or classes is None:
        raise InputError("--clinical needs --target and --classes (and --positive for two classes)")
    names = tuple(name.strip() for name in classes.split(","))
    declared = declared_target(target, column, names, positive)
    table = read_clinical(clinical, [declared], patient_column=patient_column)
    say_notes(table.notes)
    return table.labels[target].dropna().map(lambda index: names[int(index)])
