"""Tissue from a mask image that the user has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides.slide import Slide
from histodistill.tiling.contours import outline
from histodistill.tiling.tissue import Tissue

# Thumbnails round their size, so proportions differ a little.
_PROPORTION_TOLERANCE = 0.02


def read_tissue_mask(path: Path, slide: Slide) -> Tissue:
    """Read a mask of any resolution, stretched over the whole slide or its scanned area.

    Args:
        path: An image; every pixel that is not black (0) is tissue.
        slide: The slide it belongs to.

    Returns:
        The tissue, as drawn: nothing is dropped or filled. Where both frames have the mask's
        proportions, it covers the slide, unless it then showed tissue where nothing was scanned.

    Raises:
        InputError: If the file is no image or has not the slide's proportions.
    """
    try:
        with Image.open(path) as image:
            image.load()
            grey = image if len(image.getbands()) == 1 and image.mode != "P" else image.convert("L")
            mask = (np.asarray(grey) > 0).astype(np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path.name}: not usable as a tissue mask: {error}") from error
    whole = (0, 0, *slide.dimensions)
    frames = [each for each in dict.fromkeys((whole, slide.bounds)) if _fits(mask, each)]
    if not frames:
        width, height = slide.dimensions
        raise InputError(
            f"{path.name}: {mask.shape[1]} x {mask.shape[0]} px do not have the proportions of "
            f"{slide.path.name} ({width} x {height} px); a mask must cover the whole slide"
        )
    first = _placed(mask, frames[0], slide)
    if len(frames) == 1 or _is_scanned(first, slide):
        return first
    return _placed(mask, frames[1], slide)


def _fits(mask: npt.NDArray[np.uint8], frame: tuple[int, int, int, int]) -> bool:
    stretch = (mask.shape[1] / frame[2]) / (mask.shape[0] / frame[3])
    # One pixel of rounding matters in a tiny mask.
    return bool(abs(stretch - 1) <= _PROPORTION_TOLERANCE + 1 / min(mask.shape))


def _placed(mask: npt.NDArray[np.uint8], frame: tuple[int, int, int, int], slide: Slide) -> Tissue:
    """The outline of a mask that is stretched over a frame, level-0 px."""
    from shapely.affinity import translate

    left, top, *size = frame
    drawn = outline(mask, (size[0], size[1]), slide.mpp, min_area_um2=0, min_hole_um2=0)
    notes = [f"the mask covers the scanned area from ({left}, {top})"] if left or top else []
    return Tissue.of((translate(each, left, top) for each in drawn.polygons), slide.mpp, notes)


def _is_scanned(tissue: Tissue, slide: Slide) -> bool:
    """Whether tissue lies where the scanner looked; at its edge a pixel of the mask counts."""
    import shapely

    left, top, width, height = slide.bounds
    scanned = shapely.box(left, top, left + width, top + height)
    drawn = shapely.MultiPolygon(tissue.polygons)
    return (
        drawn.area == 0
        or shapely.intersection(drawn, scanned).area / drawn.area > 1 - _PROPORTION_TOLERANCE
    )
