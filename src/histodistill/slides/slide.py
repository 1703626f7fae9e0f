"""A slide: regions in level-0 pixels, resampled from the nearest finer level."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from histodistill.slides.resolution import Resolution

RGB = npt.NDArray[np.uint8]

# A level this much coarser than wanted still serves: pyramids say 2.0005 where they mean 2.
LEVEL_TOLERANCE = 1.01
# The largest glass slides; a wider one has a wrong µm/px. It bounds the size of overviews.
LARGEST_SLIDE_MM = 150
# Side of the largest square read at once (level pixels), which bounds the memory of a thumbnail.
LARGEST_READ = 4096


class Slide(ABC):
    """An open slide. A context manager: leaving the block closes the file.

    Colours are sRGB as stored (ICC profiles are not applied); transparent pixels and those
    outside the slide are white.

    Attributes:
        path: The file.
        dimensions: Width and height of level 0, px.
        level_downsamples: Downsampling of each level, level 0 first (1.0).
        mpp: µm/px of level 0.
        mpp_source: Where ``mpp`` was found.
        mpp_doubt: What the file records against ``mpp``, a phrase; empty where nothing.
        bounds: Left, top, width and height of the scanned area, level-0 px: all of the slide,
            but for formats such as MRXS, SCN and BIF, whose slides have an empty margin.

    Raises:
        ValueError: If the slide would be larger than any glass slide is.
    """

    def __init__(
        self,
        path: Path,
        dimensions: tuple[int, int],
        level_downsamples: tuple[float, ...],
        resolution: Resolution,
        bounds: tuple[int, int, int, int] | None = None,
    ) -> None:
        widest_mm = max(dimensions) * resolution.mpp / 1000
        if widest_mm > LARGEST_SLIDE_MM:
            raise ValueError(
                f"{widest_mm:.0f} mm wide at {resolution.mpp:g} µm/px ({resolution.source}), "
                "larger than any slide; check the µm/px"
            )
        self.path = path
        self.dimensions = dimensions
        self.level_downsamples = level_downsamples
        self.mpp = resolution.mpp
        self.mpp_source = resolution.source
        self.mpp_doubt = resolution.doubt
        self.bounds = bounds or (0, 0, *dimensions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_plain_tiff(self) -> bool:
        """Whether it is a TIFF of no scanner's format, whose pages may be anything."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    @abstractmethod
    def read_level(self, level: int, x: int, y: int, size: tuple[int, int]) -> Image.Image:
        """Read pixels of a level as they are.

        Args:
            level: Index into ``level_downsamples``.
            x: Left edge, level-0 px.
            y: Top edge, level-0 px.
            size: Width and height, px of that level.

        Returns:
            An RGB image.

        Raises:
            InputError: If the file cannot be decoded there.
        """

    def read_region_rgb(self, x: float, y: float, w: float, h: float, size: tuple[int, int]) -> RGB:
        """Read a region, resampled with antialiasing from the nearest finer level.

        Args:
            x: Left edge, level-0 px; fractions of a pixel count.
            y: Top edge, level-0 px.
            w: Width, level-0 px.
            h: Height, level-0 px.
            size: Width and height of the result, px.

        Returns:
            ``[height, width, 3]`` uint8 sRGB.

        Raises:
            InputError: If the file cannot be decoded there.
        """
        level = self._finer_level(min(w / size[0], h / size[1]))
        downsample = self.level_downsamples[level]
        left, top = math.floor(x), math.floor(y)
        x0, y0 = (x - left) / downsample, (y - top) / downsample
        x1, y1 = x0 + w / downsample, y0 + h / downsample
        # The tolerance keeps float dust in an edge from reading one more row of pixels.
        columns, rows = math.ceil(x1 - 1e-6), math.ceil(y1 - 1e-6)
        source = self.read_level(level, left, top, (columns, rows))
        box = x0, y0, min(x1, columns), min(y1, rows)
        # A copy, because arrays over Pillow memory are read-only, which tensors cannot share.
        return np.array(source.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=2.0))

    def thumbnail(self, mpp: float, told: Callable[[float], None] | None = None) -> RGB:
        """The whole slide at a given µm/px, read block by block so that memory stays bounded.

        Args:
            mpp: µm/px wanted. A slide that is coarser keeps its own.
            told: Told before each block which share has been read, from 0 to 1.

        Returns:
            ``[height, width, 3]`` uint8; pixels are square but for the rounding of the size.

        Raises:
            InputError: If the file cannot be decoded.
        """
        width, height = self.dimensions
        factor = max(mpp / self.mpp, 1.0)
        columns, rows = max(round(width / factor), 1), max(round(height / factor), 1)
        level_factor = factor / self.level_downsamples[self._finer_level(factor)]
        block = max(int(LARGEST_READ / level_factor), 1)
        image = np.empty((rows, columns, 3), np.uint8)
        across, down = width / columns, height / rows
        for top in range(0, rows, block):
            for left in range(0, columns, block):
                if told is not None:
                    told((top + min(block, rows - top) * left / columns) / rows)
                size = min(block, columns - left), min(block, rows - top)
                image[top : top + size[1], left : left + size[0]] = self.read_region_rgb(
                    left * across, top * down, size[0] * across, size[1] * down, size
                )
        return image

    def _finer_level(self, downsample: float) -> int:
        """The coarsest level that is still as fine as wanted, or level 0."""
        fine = [
            (own, level)
            for level, own in enumerate(self.level_downsamples)
            if own <= downsample * LEVEL_TOLERANCE
        ]
        return max(fine, default=(1.0, 0))[1]
