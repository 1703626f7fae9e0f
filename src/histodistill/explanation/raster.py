"""Values of patches as a picture: where patches overlap, their mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from histodistill.explanation.contributions import Floats


@dataclass(frozen=True)
class PatchPlaces:
    """Where the patches of a slide lie.

    Attributes:
        coords: Upper left corners (x, y), level-0 px, [N, 2].
        side: Edge of a patch, level-0 px.
    """

    coords: Floats
    side: float

    def extent(self) -> tuple[float, float]:
        """Width and height that hold all patches, level-0 px from the slide's corner."""
        width, height = self.coords.max(axis=0) + self.side
        return float(width), float(height)


def rasterise(
    places: PatchPlaces, values: Floats, size: tuple[int, int], downsample: float
) -> Floats:
    """Paint values of patches onto a picture.

    Args:
        places: Where the patches lie.
        values: One value a patch, [N].
        size: Width and height of the picture, px.
        downsample: Level-0 px in a pixel of the picture.

    Returns:
        [height, width] float64: the mean of the patches that cover a pixel, NaN where none does.
    """
    total = np.zeros((size[1], size[0]))
    count = np.zeros((size[1], size[0]), dtype=np.int32)
    first = np.floor(places.coords / downsample + 0.5).astype(np.int64)
    last = np.floor((places.coords + places.side) / downsample + 0.5).astype(np.int64)
    last = np.maximum(last, first + 1)  # a patch smaller than a pixel is seen all the same
    for (left, top), (right, bottom), value in zip(first, last, values, strict=True):
        total[top:bottom, left:right] += value
        count[top:bottom, left:right] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 0, total / count, np.nan))
