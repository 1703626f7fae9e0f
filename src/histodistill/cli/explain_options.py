"""Arguments and options of ``histodistill explain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

MapsFolder = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder for the maps, a folder a patient.")
]
FeaturesFolder = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Folder of patch features; nothing is encoded again."),
]
SlidesToDrawOn = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Slides to draw the maps on; alone, their features are extracted first, as in "
        "training. Without slides, maps are drawn on the grid of patches.",
    ),
]
DrawnGenes = Annotated[
    list[str] | None,
    typer.Option(
        metavar="GENE",
        help="Draw the expression of this gene that slides predict, where they do so above "
        "chance; as often as wanted.",
    ),
]
ChosenPatients = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Explain this patient; as often as wanted."),
]
PicturesMpp = Annotated[
    float, typer.Option(min=0.1, metavar="MPP", help="µm in a pixel of the pictures.")
]
PatchesShown = Annotated[
    int,
    typer.Option(min=1, metavar="N", help="Most and least supportive patches on a sheet."),
]
PatientsAtOnce = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Patients at the same time, each in a process; by default 1 on this machine, and as "
        "many as there is room for elsewhere.",
    ),
]
PatientThreads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="Threads of each patient; by default the cores are divided among the jobs, and 1 "
        "elsewhere.",
    ),
]
