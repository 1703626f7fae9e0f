"""Tiles of layers, painted by the server: a page never holds an element a patch."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image

from histodistill.explanation.raster import PatchPlaces, rasterise
from histodistill.viewer.layers import Floats, Layer
from histodistill.viewer.palettes import RGBA, Look, colours
from histodistill.viewer.world import TILE, Box, World

_PATCH_COLOUR, _GAP_COLOUR, _BEYOND = 205, 235, 255


def heat_tile(
    places: PatchPlaces, layer: Layer, look: Look, world: World, box: Box, zoom: int
) -> bytes:
    """A tile of a layer as PNG, clear where it shows no patch.

    Args:
        places: Where the patches lie.
        layer: Their values.
        look: How they are painted.
        world: The slide on the map.
        box: What the tile shows, level-0 px.
        zoom: Of the tile.

    Raises:
        KeyError: The palette does not suit the layer.
    """
    values = _within(places, layer.values, box, world.downsample(zoom))
    return png(colours(values, layer, look))


def patch_tile(places: PatchPlaces, world: World, box: Box, zoom: int) -> bytes:
    """A tile of the bare patches as PNG, which stands for a slide that is not at hand."""
    order = np.arange(len(places.coords), dtype=np.float64)
    covered = ~np.isnan(_within(places, order, box, world.downsample(zoom)))
    grey = np.where(covered, _PATCH_COLOUR, _GAP_COLOUR).astype(np.uint8)
    edges = (world.width - box[0], world.height - box[1])
    across, down = (math.ceil(edge / world.downsample(zoom)) for edge in edges)
    grey[:, max(across, 0) :] = grey[max(down, 0) :] = _BEYOND
    return png(np.stack([grey] * 3, axis=-1))


def png(pixels: RGBA) -> bytes:
    """A picture [height, width, 3 or 4] as PNG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _within(places: PatchPlaces, values: Floats, box: Box, downsample: float) -> Floats:
    """Values of the patches in a box, [TILE, TILE]; NaN where there is none."""
    left, top, right, bottom = box
    x, y = places.coords.T
    # A pixel more on each side: the edges of patches are rounded to pixels.
    side, edge = places.side + downsample, downsample
    inside = (x < right + edge) & (x + side > left) & (y < bottom + edge) & (y + side > top)
    near = replace(places, coords=places.coords[inside] - (left, top))
    return rasterise(near, values[inside], (TILE, TILE), downsample)
