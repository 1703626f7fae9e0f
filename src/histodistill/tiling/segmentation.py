"""Tissue segmentation: the same slide gives the same outline, whatever levels its file has."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from histodistill.slides.extra import slides_extra
from histodistill.slides.slide import Slide
from histodistill.tiling.colour import (
    COLOUR_STEPS,
    ColourMaps,
    Mask,
    colour_maps,
    is_without_colour,
)
from histodistill.tiling.contours import outline
from histodistill.tiling.settings import TissueSettings
from histodistill.tiling.tissue import Tissue

# Strokes narrower than this are flecks of ink on tissue, not pen marks.
PEN_WIDTH_UM = 32.0
# How far the pale edge of a stroke reaches.
PEN_EDGE_UM = 100.0
# Only a region cut out of a slide is tissue all over; a slide of a square centimetre is none.
_MOST_TISSUE = 0.97
_WHOLE_SLIDE_UM2 = 1e8


def segment_tissue(slide: Slide, settings: TissueSettings | None = None) -> Tissue:
    """Find the tissue of a slide at a fixed µm/px.

    Args:
        slide: An open slide.
        settings: What counts as tissue; the defaults suit H&E.

    Returns:
        The tissue in level-0 px; empty if there is none.

    Raises:
        InputError: If the slide cannot be decoded.
    """
    settings = settings or TissueSettings()
    # The overview itself, the largest thing in memory, is gone once its colours are measured.
    overview = slide.thumbnail(settings.mpp)
    grey = is_without_colour(overview)
    maps = colour_maps(overview)
    del overview
    mask = tissue_mask(maps, max(settings.mpp, slide.mpp), settings)
    holes = math.inf if settings.fill_holes else settings.min_hole_um2
    found = outline(
        mask, slide.dimensions, slide.mpp, min_area_um2=settings.min_area_um2, min_hole_um2=holes
    )
    return replace(found, notes=tuple(_doubts(found, slide, grey)))


def _doubts(tissue: Tissue, slide: Slide, grey: bool) -> Iterator[str]:
    """What makes an outline implausible, a phrase each."""
    if grey and not tissue.polygons:
        yield (
            "the slide is grey, and tissue is told from glass by its colour: give outlines or "
            "masks with --tissue-dir, or a scan in colour"
        )
    scanned_um2 = slide.bounds[2] * slide.bounds[3] * slide.mpp**2
    share = tissue.area_um2 / scanned_um2
    if share > _MOST_TISSUE and scanned_um2 > _WHOLE_SLIDE_UM2:
        yield f"{share:.0%} of the slide was taken for tissue; check the outline picture"


def tissue_mask(maps: ColourMaps, mpp: float, settings: TissueSettings) -> Mask:
    """Tissue of an overview, before small pieces and holes are sorted out.

    Args:
        maps: Colour and ink of the overview.
        mpp: Its µm/px.
        settings: What counts as tissue.

    Returns:
        ``[height, width]`` uint8, 1 where there is tissue.
    """
    with slides_extra():
        import cv2
    # A median takes out noise and leaves edges where they are.
    smooth = np.asarray(cv2.medianBlur(maps.colour, 3))
    tissue = (smooth >= settings.min_colour * COLOUR_STEPS).astype(np.uint8)
    pen = _pen_marks(maps, mpp) if settings.drop_pen else np.zeros_like(tissue)
    tissue &= 1 - pen
    tissue = _morphology(tissue, cv2.MORPH_CLOSE, settings.close_um / mpp)
    tissue &= 1 - pen
    return _morphology(tissue, cv2.MORPH_OPEN, 1)


def _pen_marks(maps: ColourMaps, mpp: float) -> Mask:
    """Strokes of ink with their pale edges."""
    import cv2

    strokes = _morphology(maps.ink, cv2.MORPH_OPEN, PEN_WIDTH_UM / 2 / mpp)
    near = _morphology(strokes, cv2.MORPH_DILATE, PEN_EDGE_UM / mpp)
    edges = near & (maps.maybe_ink | maps.ink)
    return _morphology(strokes | edges, cv2.MORPH_DILATE, 1)


def _morphology(mask: Mask, operation: int, radius: float) -> Mask:
    """A morphological operation with a disc of a radius in px."""
    import cv2

    whole = round(radius)
    y, x = np.ogrid[-whole : whole + 1, -whole : whole + 1]
    disc = (x**2 + y**2 <= (whole + 0.5) ** 2).astype(np.uint8)
    return np.asarray(cv2.morphologyEx(mask, operation, disc), np.uint8)
