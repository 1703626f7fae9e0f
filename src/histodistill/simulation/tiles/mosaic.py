"""A slide as a mosaic of real tiles: a pyramid that extraction and the viewer open."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histodistill.simulation.pyramid import write_pyramid
from histodistill.simulation.tiles.stain import Stain, restain
from histodistill.simulation.tiles.tissue import TileModel, TilePatches

_GLASS = (243, 242, 245)


def draw_mosaic(path: Path, model: TileModel, patches: TilePatches, stain: Stain | None) -> None:
    """Lay a slide's tiles out where its patches are, on empty glass.

    Args:
        path: Where the slide goes (.tif).
        model: Of the cohort.
        patches: Of the slide.
        stain: Of its hospital.

    Raises:
        InputError: The TIFF writer is missing.
    """
    side = model.library.side
    columns, rows = patches.cells.max(axis=0) + 2
    image = np.full((rows * side, columns * side, 3), _GLASS, dtype=np.uint8)
    for tile, (column, row) in zip(patches.tile, patches.cells, strict=True):
        top, left = row * side, column * side
        pixels = restain(model.library.pixels(int(tile)), stain)
        image[top : top + side, left : left + side] = pixels
    write_pyramid(path, image, model.settings.tile_mpp)
