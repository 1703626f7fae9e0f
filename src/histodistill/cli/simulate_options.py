"""Options of ``histodistill simulate`` for a cohort of real tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from histodistill.computing.device import DEVICE_HELP

_TILES = "Of real tiles"

Tiles = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Make slides of real tiles: a folder that holds a folder of tiles for each tissue "
        "class.",
        rich_help_panel=_TILES,
    ),
]
Regime = Annotated[
    Literal["common", "rare"] | None,
    typer.Option(
        help="What carries the signal: the share of common tissue (tumour and immune cells), or "
        "a few patches of a rare one (giant cells); by default common. --settings names other "
        "classes.",
        rich_help_panel=_TILES,
    ),
]
Patches = Annotated[
    int | None,
    typer.Option(min=1, help="Patches of a slide; by default 200.", rich_help_panel=_TILES),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        help="Patch encoder, as for extract; by default efficientnet-lite0, which needs no "
        "download.",
        rich_help_panel=_TILES,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="The encoder's local weights file.", rich_help_panel=_TILES),
]
Components = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Reduce features to so many principal components; by default as encoded.",
        rich_help_panel=_TILES,
    ),
]
Mosaics = Annotated[
    int,
    typer.Option(
        min=0,
        help="Write the slides of so many patients as images too (slides/*.tif), for extract, "
        "explain and view.",
        rich_help_panel=_TILES,
    ),
]
Device = Annotated[str, typer.Option(help=DEVICE_HELP, rich_help_panel=_TILES)]
