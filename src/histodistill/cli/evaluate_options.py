"""Arguments and options of ``histodistill evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PredictionFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="PREDICTIONS...",
        help="Predictions: of crossval, or of predict with --clinical.",
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        "--clinical",
        "--labels",
        metavar="FILE",
        help="Clinical table with the labels, for output of predict.",
    ),
]
TargetName = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --clinical: name of the target.")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="Its column; by default the target's name."),
]
ClassNames = Annotated[
    str | None,
    typer.Option(metavar="A,B,...", help="Its classes, separated by commas: negative,positive."),
]
PositiveClass = Annotated[
    str | None, typer.Option(metavar="NAME", help="The positive one of two classes.")
]
Meanings = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="CELL=CLASS",
        help="What cells of the column mean, as often as needed: Pos=positive; Equivocal= for "
        "unknown. Classes in another case and the usual codes for unknown need none.",
    ),
]
PatientColumn = Annotated[str, typer.Option(metavar="NAME", help="Patient column of the table.")]
ReferenceContender = Annotated[
    str | None,
    typer.Option(metavar="NAME", help='Compare everything with this: "METHOD NETWORK".'),
]
MoreMetrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="One more metric, of an installed package or my_package.my_module:my_metric.",
    ),
]
Headline = Annotated[str, typer.Option(metavar="TEXT", help="Headline of the report.")]
Subgroups = Annotated[
    list[str] | None,
    typer.Option(
        "--by",
        metavar="COLUMN",
        help="A column of --clinical (or --table) for subgroups and strata; as often as needed.",
    ),
]
PatientTables = Annotated[
    list[Path] | None,
    typer.Option(
        "--table",
        metavar="FILE",
        help="With --by: one more table of patients in which columns are looked for.",
    ),
]
