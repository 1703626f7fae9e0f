"""Deep zoom: tiles of the slides themselves."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides import Slide, SlideImage
from histodistill.viewer.tile_cache import TileCache
from histodistill.viewer.world import TILE, Box, World

_OPEN = 4
# Longer side, at most, of the overview that is kept of a slide whose levels lie too far apart.
_OVERVIEW_PX = 4096
# A tile from a level so much finer reads 16 times the pixels that it shows.
_FAR = 4.0
_QUALITY = 85


class SlideTiles:
    """Tiles and patches of slides, the last few of which are kept open; threads may share it.

    A pyramid is read where it has a level that is fine enough, but not much finer. Where it has
    none (single-level slides), the tiles of far zooms are cut out of an overview, made once and
    no finer than they need it.

    Args:
        images: The slides by name.
    """

    def __init__(self, images: Mapping[str, SlideImage]) -> None:
        self._images = images
        self._open: OrderedDict[str, _OpenSlide] = OrderedDict()
        self._tiles = TileCache()
        # One reader at a time: not every format may be read by several threads.
        self._lock = Lock()

    def __contains__(self, slide: str) -> bool:
        return slide in self._images

    def world(self, slide: str) -> tuple[World, float]:
        """The slide's place on the map, and its µm/px.

        Raises:
            InputError: It cannot be read.
        """
        with self._lock:
            opened = self._opened(slide)
            return opened.world, opened.slide.mpp

    def tile(self, slide: str, zoom: int, column: int, row: int) -> bytes | None:
        """A tile as JPEG; None where the slide has none.

        Raises:
            InputError: The slide cannot be read.
        """
        with self._lock:
            box = self._opened(slide).world.box(zoom, column, row)
        if box is None:
            return None

        def make() -> bytes:
            with self._lock:
                opened = self._opened(slide)
                return _jpeg(opened.tile(box, opened.world.downsample(zoom)))

        return self._tiles.get((slide, zoom, column, row), make)

    def square(self, slide: str, x: float, y: float, side: float, size: int) -> bytes:
        """A square of the slide as JPEG, white beyond its edges.

        Args:
            slide: Name of the slide.
            x: Left edge, level-0 px.
            y: Top edge, level-0 px.
            side: Edge, level-0 px.
            size: Edge of the picture, px.

        Raises:
            InputError: The slide cannot be read.
        """

        def make() -> bytes:
            with self._lock:
                read = self._opened(slide).slide.read_region_rgb(x, y, side, side, (size, size))
            return _jpeg(read)

        return self._tiles.get((slide, x, y, side, size), make)

    def overview(self, slide: str, longest: int) -> Image.Image:
        """The whole slide, its longer side of so many px at most.

        Raises:
            InputError: The slide cannot be read.
        """
        with self._lock:
            opened = self._opened(slide).slide
            return Image.fromarray(opened.thumbnail(max(opened.dimensions) * opened.mpp / longest))

    def _opened(self, name: str) -> _OpenSlide:
        if name not in self._open:
            if name not in self._images:
                raise InputError(f"{name}: the slide is not at hand")
            self._open[name] = _OpenSlide(self._images[name].open())
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)[1].slide.close()
        self._open.move_to_end(name)
        return self._open[name]


class _OpenSlide:
    """A slide and, where it needs one, its overview."""

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        self.world = World(*slide.dimensions)
        self._overview: Image.Image | None = None

    def tile(self, box: Box, downsample: float) -> NDArray[np.uint8]:
        """The pixels of a tile, white beyond the slide's edges, [TILE, TILE, 3]."""
        left, top, right, bottom = box
        width = min(right, self.world.width) - left
        height = min(bottom, self.world.height) - top
        size = max(round(width / downsample), 1), max(round(height / downsample), 1)
        if self._needs_overview(downsample):
            read = self._from_overview((left, top, left + width, top + height), size)
        else:
            read = self.slide.read_region_rgb(left, top, width, height, size)
        tile = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
        tile[: size[1], : size[0]] = read
        return tile

    def _needs_overview(self, downsample: float) -> bool:
        if downsample < max(self.slide.dimensions) / _OVERVIEW_PX:
            return False
        finer = [level for level in self.slide.level_downsamples if level <= downsample * 1.01]
        return downsample / max(finer) > _FAR

    def _from_overview(self, box: Box, size: tuple[int, int]) -> NDArray[np.uint8]:
        if self._overview is None:
            zooms = range(self.world.max_zoom, -1, -1)
            needed = (d for d in map(self.world.downsample, zooms) if self._needs_overview(d))
            self._overview = Image.fromarray(self.slide.thumbnail(next(needed) * self.slide.mpp))
        factor = self._overview.width / self.world.width
        left, top, right, bottom = (edge * factor for edge in box)
        inside = left, top, min(right, self._overview.width), min(bottom, self._overview.height)
        return np.asarray(self._overview.resize(size, Image.Resampling.BOX, inside))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
