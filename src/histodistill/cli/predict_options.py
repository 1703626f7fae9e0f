"""Arguments and options of ``histodistill predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_SLIDES = "Slides"
_GENOMICS = "Genomics"

PredictionsFile = Annotated[
    Path, typer.Option(metavar="FILE", help="CSV for the predictions, a row a patient.")
]
SlidesFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder (or CSV) of slides; features are extracted as in training.",
        rich_help_panel=_SLIDES,
    ),
]
FeaturesFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of patch features.",
        rich_help_panel=_SLIDES,
    ),
]
SlidesTable = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --features: table PATIENT, FILENAME; else the file names tell.",
        rich_help_panel=_SLIDES,
    ),
]
PatientPattern = Annotated[
    str | None,
    typer.Option(
        metavar="REGEX",
        help="Regular expression of the patient in a file name.",
        rich_help_panel=_SLIDES,
    ),
]
GenomicBlocks = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=FILE",
        help="A genomic block; as often as there are blocks.",
        rich_help_panel=_GENOMICS,
    ),
]
MaxMissingGenes = Annotated[
    float,
    typer.Option(
        min=0,
        max=1,
        metavar="P",
        help="Share of genes that may be absent.",
        rich_help_panel=_GENOMICS,
    ),
]
CheckScale = Annotated[
    bool,
    typer.Option(
        "--check-scale/--no-check-scale",
        help="Refuse genes on another scale than the training patients', or only tell.",
        rich_help_panel=_GENOMICS,
    ),
]
OneThreshold = Annotated[
    float | None,
    typer.Option(
        min=0, max=1, metavar="P", help="Operating threshold of all networks, not the stored."
    ),
]
OfSite = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Hospital of all patients: its own calibration and thresholds, where `calibrate` "
        "has made them.",
    ),
]
FeaturesOut = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="With --slides: folder for their features; by default beside --out.",
        rich_help_panel=_SLIDES,
    ),
]
EncoderWeights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --slides: local weights of the encoder.",
        rich_help_panel=_SLIDES,
    ),
]
AllowTorchscriptCode = Annotated[
    bool,
    typer.Option(
        "--allow-torchscript-code",
        help="With --slides: let a TorchScript encoder, which is a program, run.",
        rich_help_panel=_SLIDES,
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        metavar="MPP",
        help="With --slides: µm/px where none is recorded.",
        rich_help_panel=_SLIDES,
    ),
]
SampleTypes = Annotated[
    list[str] | None,
    typer.Option(
        "--sample-type",
        metavar="CODE",
        help="TCGA sample type that is read, as often as wanted; by default 01, the tumour.",
    ),
]

# Of the extraction, which is not done where there are features.
OF_EXTRACTION = ("weights", "allow_torchscript_code")
