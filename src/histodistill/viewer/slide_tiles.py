"""Deep zoom: tiles of the slides themselves."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides import Slide, SlideImage
from histodistill.viewer.overviews import overview_of
from histodistill.viewer.tile_cache import TileCache
from histodistill.viewer.world import TILE, Box, World

_OPEN = 4
# Longer side, at most, of the overview that is kept of a slide whose levels lie too far apart.
_OVERVIEW_PX = 4096
# A tile from a level so much finer reads 16 times the pixels that it shows.
_FAR = 4.0
_QUALITY = 85
# Read in a second or two.
_LARGE_PX = 10**8


class SlideTiles:
    """Tiles and patches of slides, the last few of which are kept open; threads may share it.

    A pyramid is read where it has a level that is fine enough, but not much finer. Where it has
    none (single-level slides), the tiles of far zooms are cut out of an overview, made once and
    no finer than they need it. Making it reads the whole slide: :meth:`prepare` does so without
    keeping anybody from other tiles, and tells how far it is.

    Args:
        images: The slides by name.
    """

    def __init__(self, images: Mapping[str, SlideImage]) -> None:
        self._images = images
        self._open: OrderedDict[str, _OpenSlide] = OrderedDict()
        self._tiles = TileCache()
        # One reader at a time: not every format may be read by several threads.
        self._lock = Lock()
        self._overviews: OrderedDict[str, Image.Image] = OrderedDict()
        self._reading: dict[str, Lock] = {}
        self._read: dict[str, float] = {}

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
                downsample = opened.world.downsample(zoom)
                if not opened.needs_overview(downsample):
                    return _jpeg(opened.tile(box, downsample))
            overview = self.prepare(slide)
            with self._lock:
                return _jpeg(self._opened(slide).tile(box, downsample, overview))

        return self._tiles.get((slide, zoom, column, row), make)

    def prepare(self, slide: str) -> Image.Image | None:
        """Read the overview of a slide that needs one, once; None where tiles do without.

        Raises:
            InputError: The slide cannot be read.
        """
        with self._lock:
            needed = self._opened(slide).overview_downsample
            own = self._reading.setdefault(slide, Lock())
        if needed is None:
            return None
        with own:  # whoever comes second waits for the first
            kept = self._overviews.get(slide)
            return kept or self._overview(slide, needed)

    def _overview(self, slide: str, downsample: float) -> Image.Image:
        read = self._read_overview(slide, downsample)
        with self._lock:
            self._overviews[slide] = read
            while len(self._overviews) > _OPEN:
                self._overviews.popitem(last=False)
        return read

    def _read_overview(self, slide: str, downsample: float) -> Image.Image:
        with self._lock:
            opened = self._opened(slide)
            if not opened.large:
                return Image.fromarray(opened.slide.thumbnail(downsample * opened.slide.mpp))
        # A handle of its own: other tiles are read meanwhile.
        with self._images[slide].open() as apart:
            return overview_of(apart, downsample, partial(self._read.__setitem__, slide))

    def waits(self, slide: str) -> bool:
        """Whether a slide has to be read whole before it can be shown, which takes a while.

        Raises:
            InputError: The slide cannot be read.
        """
        with self._lock:
            opened = self._opened(slide)
            return opened.large and opened.overview_downsample is not None

    def share_read(self, slide: str) -> float:
        """How much of a slide has been read for its overview, from 0 to 1."""
        return self._read.get(slide, 0.0)

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
    """A slide, and which tiles it is too fine for."""

    def __init__(self, slide: Slide) -> None:
        self.slide = slide
        self.world = World(*slide.dimensions)
        zooms = range(self.world.max_zoom, -1, -1)
        needed = (d for d in map(self.world.downsample, zooms) if self.needs_overview(d))
        # Level-0 px in a pixel of the finest tiles that are cut out of an overview.
        self.overview_downsample = next(needed, None)

    @property
    def large(self) -> bool:
        """Whether it takes a while to read all of it."""
        return self.world.width * self.world.height > _LARGE_PX

    def tile(
        self, box: Box, downsample: float, overview: Image.Image | None = None
    ) -> NDArray[np.uint8]:
        """The pixels of a tile, white beyond the slide's edges, [TILE, TILE, 3]."""
        left, top, right, bottom = box
        width = min(right, self.world.width) - left
        height = min(bottom, self.world.height) - top
        size = max(round(width / downsample), 1), max(round(height / downsample), 1)
        if overview is not None:
            inside = left, top, left + width, top + height
            read = _cut(overview, overview.width / self.world.width, inside, size)
        else:
            read = self.slide.read_region_rgb(left, top, width, height, size)
        tile = np.full((TILE, TILE, 3), 255, dtype=np.uint8)
        tile[: size[1], : size[0]] = read
        return tile

    def needs_overview(self, downsample: float) -> bool:
        """Whether a tile would be made of far more pixels than it shows."""
        if downsample < max(self.slide.dimensions) / _OVERVIEW_PX:
            return False
        finer = [level for level in self.slide.level_downsamples if level <= downsample * 1.01]
        return downsample / max(finer) > _FAR


def _cut(
    overview: Image.Image, factor: float, box: Box, size: tuple[int, int]
) -> NDArray[np.uint8]:
    """A box of the slide, level-0 px, out of its overview."""
    left, top, right, bottom = (edge * factor for edge in box)
    inside = left, top, min(right, overview.width), min(bottom, overview.height)
    return np.asarray(overview.resize(size, Image.Resampling.BOX, inside))


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()
