"""What the page of one slide shows, with all its pictures inside."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from histodistill.explanation.raster import PatchPlaces, rasterise
from histodistill.viewer.heat_tiles import png
from histodistill.viewer.layers import Layer, SlideMaps
from histodistill.viewer.palettes import Look, colours, gradient
from histodistill.viewer.ranking import box_of, row_titles, strongest
from histodistill.viewer.slide_tiles import SlideTiles

_LONGEST_PX, _LAYER_PX = 2400, 1200
_THUMB_PX, _SHOWN = 176, 8
_QUALITY = 82


@dataclass(frozen=True)
class _Frame:
    """The slide as its page shows it: level-0 px."""

    width: float
    height: float
    mpp: float | None
    picture: str


def page_content(maps: SlideMaps, tiles: SlideTiles) -> dict[str, Any]:
    """All that a template needs of a slide, as plain values.

    Raises:
        InputError: The slide cannot be read.
    """
    frame = _frame(maps, tiles)
    places = maps.places
    layers = [] if places is None else [_layer(places, own, frame) for own in maps.layers]
    ranked = maps.ranked()
    first = next((n for n, layer in enumerate(maps.layers) if layer is ranked), None)
    rows = [] if places is None or ranked is None else _rows(maps.slide, places, ranked, tiles)
    return {
        "slide": maps.slide,
        "width": frame.width,
        "height": frame.height,
        "mpp": frame.mpp,
        "picture": frame.picture,
        "layers": layers,
        "first": first,
        "rows": rows,
        "reason": maps.reason,
    }


def _frame(maps: SlideMaps, tiles: SlideTiles) -> _Frame:
    if maps.slide in tiles:
        world, mpp = tiles.world(maps.slide)
        picture = tiles.overview(maps.slide, _LONGEST_PX)
        return _Frame(world.width, world.height, mpp, _jpeg(picture))
    if maps.places is None:
        return _Frame(1, 1, None, _jpeg(Image.new("RGB", (1, 1), "white")))
    width, height = maps.places.extent()
    bare = _raster(maps.places, np.zeros(len(maps.places.coords)), width, height)
    grey = np.where(np.isnan(bare), 235, 205).astype(np.uint8)
    return _Frame(width, height, None, _png(np.stack([grey] * 3, axis=-1)))


def _layer(places: PatchPlaces, layer: Layer, frame: _Frame) -> dict[str, Any]:
    painted = ""
    if layer.painted:
        values = _raster(places, layer.values, frame.width, frame.height)
        lowest = 0.0 if layer.diverging else layer.limits[0]
        painted = _png(colours(values, layer, Look(layer.palette, lowest)))
    low, high = layer.limits
    return {
        "name": layer.name,
        "picture": painted,
        "gradient": gradient(layer.palette),
        "low": f"{layer.ends[0]} {low:+g}" if layer.diverging else f"{low:g}",
        "high": f"{layer.ends[1]} {high:+g}" if layer.diverging else f"{high:g}",
        "unit": layer.unit,
        "sentences": layer.sentences,
    }


def _rows(slide: str, places: PatchPlaces, layer: Layer, tiles: SlideTiles) -> list[dict[str, Any]]:
    most, least = strongest(layer.values, _SHOWN)
    titles = row_titles(layer, most, least)
    return [
        {"title": title, "patches": [_patch(slide, places, layer, p, tiles) for p in patches]}
        for title, patches in zip(titles, (most, least), strict=True)
    ]


def _patch(
    slide: str, places: PatchPlaces, layer: Layer, patch: int, tiles: SlideTiles
) -> dict[str, Any]:
    box = box_of(places, patch)
    picture = ""
    if slide in tiles:
        square = tiles.square(slide, box[0], box[1], places.side, _THUMB_PX)
        picture = _uri(square, "image/jpeg")
    return {"picture": picture, "box": box, "value": f"{layer.values[patch]:+.2f}"}


def _raster(places: PatchPlaces, values: Any, width: float, height: float) -> Any:
    downsample = max(width, height) / _LAYER_PX
    size = max(round(width / downsample), 1), max(round(height / downsample), 1)
    return rasterise(places, values, size, downsample)


def _jpeg(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=_QUALITY)
    return _uri(file.getvalue(), "image/jpeg")


def _png(pixels: Any) -> str:
    return _uri(png(pixels), "image/png")


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
