"""Tissue from a mask image that the user has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from histodistill.errors import InputError
from histodistill.slides.slide import Slide
from histodistill.tiling.contours import outline
from histodistill.tiling.tissue import Tissue

# Thumbnails round their size, so proportions differ a little.
_PROPORTION_TOLERANCE = 0.02


def read_tissue_mask(path: Path, slide: Slide) -> Tissue:
    """Read a mask of any resolution, stretched over the whole slide.

    Args:
        path: An image; every pixel that is not black (0) is tissue.
        slide: The slide it belongs to.

    Returns:
        The tissue, as drawn: nothing is dropped or filled.

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
    width, height = slide.dimensions
    stretch = (mask.shape[1] / width) / (mask.shape[0] / height)
    # One pixel of rounding matters in a tiny mask.
    if abs(stretch - 1) > _PROPORTION_TOLERANCE + 1 / min(mask.shape):
        raise InputError(
            f"{path.name}: {mask.shape[1]} x {mask.shape[0]} px do not have the proportions of "
            f"{slide.path.name} ({width} x {height} px); a mask must cover the whole slide"
        )
    return outline(mask, slide.dimensions, slide.mpp, min_area_um2=0, min_hole_um2=0)
