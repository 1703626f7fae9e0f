"""Arguments and options of ``histodistill view``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunOrBundle = Annotated[
    Path,
    typer.Argument(metavar="RUN|BUNDLE", help="Results of a cross-validation, or a model bundle."),
]
SlidesFolder = Annotated[
    Path, typer.Option(metavar="DIR", help="The slides; those that are absent are drawn bare.")
]
FeaturesFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of patch features. By default those that the run was made of; a bundle's "
        "are extracted, once.",
    ),
]
ShownGenes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Show the expression that slides predict of this gene; repeat."
    ),
]
LabelFile = Annotated[
    Path | None,
    typer.Option(
        "--clinical",
        "--labels",
        metavar="FILE",
        help="Clinical table with the truth, for a bundle's answers.",
    ),
]
LabelColumn = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="With --clinical: its column; by default the target's name."),
]
PatientColumn = Annotated[
    str, typer.Option(metavar="NAME", help="With --clinical: the patients' column.")
]
SiteColumn = Annotated[
    str | None, typer.Option(metavar="NAME", help="With --clinical: the sites' column.")
]
TargetOfRun = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which target, if there are several.")
]
MethodOfRun = Annotated[
    str | None, typer.Option(metavar="NAME", help="Which method of a run, if several.")
]
ReviewsFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="CSV of verdicts. By default reviews.csv of the run or of here."
    ),
]
Reviewer = Annotated[
    str | None, typer.Option(metavar="NAME", help="Who reviews; by default the user's name.")
]
ExportFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Write pages that open by double click instead of serving any."
    ),
]
ExportedPatients = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="With --export: this patient; as often as wanted."),
]
Address = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where to listen; by default this machine only.")
]
Port = Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0 takes a free one.")]
