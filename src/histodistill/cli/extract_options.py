"""Arguments and options of ``histodistill extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.computing.device import DEVICE_HELP
from histodistill.encoders import ENCODERS, PrecisionChoice
from histodistill.extraction.defaults import CPU_BATCH, CUDA_BATCH, Stain

_PATCHES = "Patches"
_TISSUE = "Tissue"
_ENCODER = "Encoder"
_RUNNING = "Running"

SlidesArgument = Annotated[
    str,
    typer.Argument(
        help="A folder (searched with its subfolders), a pattern in quotes ('slides/*.svs'), "
        "or a CSV with a column 'slide' and, if wanted, 'patient' and 'mpp' (µm/px).",
    ),
]
FeaturesFolder = Annotated[
    Path,
    typer.Option(
        help="Folder for SLIDE.h5, extraction.csv, previews/ and tissue/. Start the same "
        "command again to continue an interrupted run, or at the same time on another "
        "machine to share the work.",
    ),
]
Encoder = Annotated[
    str,
    typer.Option(
        help=f"{', '.join(ENCODERS)}; timm:NAME for any timm model; torchscript or onnx for a "
        "model file of your own, given with --weights. efficientnet-lite0 needs no download; "
        "it is a small ImageNet model, not a pathology model.",
        rich_help_panel=_ENCODER,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="Local weights file (.safetensors, .bin, .pth), or the model file of your own. "
        "Without it the weights come from the Hugging Face hub, with your token.",
        rich_help_panel=_ENCODER,
    ),
]
AllowTorchscriptCode = Annotated[
    bool,
    typer.Option(
        "--allow-torchscript-code",
        help="Let a TorchScript file run. It is a program: give this only for a file that you "
        "made or trust. One that would touch files or the network is refused even so.",
        rich_help_panel=_ENCODER,
    ),
]
InputPx = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Image side that the encoder takes; default: as documented.",
        rich_help_panel=_ENCODER,
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Mean of R,G,B with pixels in 0..1, such as 0.5,0.5,0.5; default: as documented.",
        rich_help_panel=_ENCODER,
    ),
]
Std = Annotated[
    str | None,
    typer.Option(
        help="Standard deviation of R,G,B; default: as documented.",
        rich_help_panel=_ENCODER,
    ),
]
Mpp = Annotated[
    float | None,
    typer.Option(
        help="µm/px of the patches; default: what the encoder's authors recommend.",
        rich_help_panel=_PATCHES,
    ),
]
PatchPx = Annotated[
    int | None,
    typer.Option(
        help="Patch side in pixels at --mpp; a patch covers mpp x patch-px µm. Default: what "
        "the encoder's authors recommend.",
        rich_help_panel=_PATCHES,
    ),
]
Overlap = Annotated[
    float | None,
    typer.Option(
        help="Overlap of neighbouring patches, as a fraction of their side; default: 0.",
        rich_help_panel=_PATCHES,
    ),
]
MinTissue = Annotated[
    float | None,
    typer.Option(
        help="Least fraction of a patch that must be tissue; default: 0.25.",
        rich_help_panel=_PATCHES,
    ),
]
AllowUpsampling = Annotated[
    bool,
    typer.Option(
        help="Enlarge slides that are coarser than --mpp instead of skipping them.",
        rich_help_panel=_PATCHES,
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(
        min=0.01,
        help="µm/px of the slides that record none. Slides without any are skipped.",
        rich_help_panel=_PATCHES,
    ),
]
StainNormalisation = Annotated[
    Stain,
    typer.Option(
        help="Stain normalisation.",
        rich_help_panel=_PATCHES,
    ),
]
TissueDir = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Folder with SLIDE.geojson (QuPath) or SLIDE.png masks, used in place of the "
        "segmentation. A file that matches no slide is a problem.",
        rich_help_panel=_TISSUE,
    ),
]
TissueClass = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="With --tissue-dir: a class of annotations that is tissue; as often as needed. "
        "Default: Tissue, or all where none is of it and all consist of tissue.",
        rich_help_panel=_TISSUE,
    ),
]
FillHoles = Annotated[
    bool,
    typer.Option(help="Count large holes as tissue.", rich_help_panel=_TISSUE),
]
DropPen = Annotated[
    bool,
    typer.Option("--drop-pen/--keep-pen", help="Cut out pen marks.", rich_help_panel=_TISSUE),
]
MinAreaUm2 = Annotated[
    float | None,
    typer.Option(
        help="Drop pieces of tissue smaller than this; default: 16000.",
        rich_help_panel=_TISSUE,
    ),
]
ExtractionDevice = Annotated[
    str,
    typer.Option(metavar="NAME", help=DEVICE_HELP, rich_help_panel=_RUNNING),
]
Precision = Annotated[
    PrecisionChoice,
    typer.Option(
        help="auto is float16 on CUDA and float32 elsewhere.",
        rich_help_panel=_RUNNING,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help=f"Patches encoded together; default: {CPU_BATCH} on a CPU, {CUDA_BATCH} on a GPU.",
        rich_help_panel=_RUNNING,
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        min=1,
        help="Threads that read and decode patches while others are encoded. The features do "
        "not depend on it.",
        rich_help_panel=_RUNNING,
    ),
]
