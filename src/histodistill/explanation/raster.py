"""Values of patches as a picture: where patches overlap, their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histodistill.errors import InputError
from histodistill.features.formats import read_coords
from histodistill.features.slide import SlideFeatures

if TYPE_CHECKING:  # pictures are drawn where nothing is computed, and PyTorch is not needed
    from histodistill.explanation.contributions import Floats
    from histodistill.slides import Slide


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


def places_of(slide: SlideFeatures, mpp: float | None) -> PatchPlaces | None:
    """Where the patches of stored features lie; None where the file has no coordinates.

    Args:
        slide: Inspected features.
        mpp: µm/px of level 0, where the slide itself is at hand. Without it, coordinates that are
            stored in µm are kept in µm.
    """
    coords = read_coords(slide)
    if coords is None:
        return None
    in_um = slide.coords_unit == "µm"
    if in_um and mpp is not None:
        coords = coords / mpp
    recorded = slide.tiling.get("patch_size_level0")
    if isinstance(recorded, int | float):
        return PatchPlaces(coords, float(recorded))
    if slide.patch_um is not None and (mpp is not None or in_um):
        return PatchPlaces(coords, slide.patch_um / (mpp or 1.0))
    return PatchPlaces(coords, _spacing(coords))


def places_on(slide: Slide, features: SlideFeatures) -> PatchPlaces | None:
    """Where the patches lie on the slide itself; None where the file has no coordinates.

    Raises:
        InputError: They lie beyond its edges by more than a patch: they belong to another slide,
            or to another resolution of it.
    """
    places = places_of(features, slide.mpp)
    if places is None:
        return None
    reached = np.array(places.extent())
    if (reached > np.array(slide.dimensions) + places.side).any():
        raise InputError(
            f"{features.path}: its patches reach to {reached[0]:.0f} x {reached[1]:.0f} px, and "
            f"{slide.path} has {slide.dimensions[0]} x {slide.dimensions[1]} px: they were cut "
            "from another slide, or from another resolution of it; give the slide that was "
            "extracted"
        )
    return places


def _spacing(coords: Floats) -> float:
    """The commonest distance of neighbouring rows and columns: the edge of patches side by side."""
    steps = np.concatenate([np.diff(np.unique(coords[:, axis])) for axis in (0, 1)])
    if not len(steps):
        return 1.0
    values, counts = np.unique(steps, return_counts=True)
    return float(values[counts.argmax()])


def rasterise(
    places: PatchPlaces, values: Floats, size: tuple[int, int], downsample: float
) -> Floats:
    """Paint values of patches onto a picture; what lies outside of it is cut off.

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
    first, last = np.maximum(first, 0), np.maximum(last, 0)
    for (left, top), (right, bottom), value in zip(first, last, values, strict=True):
        total[top:bottom, left:right] += value
        count[top:bottom, left:right] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 0, total / count, np.nan))
