"""A picture of the outline and the patches, for people to check by eye."""

from __future__ import annotations

import math
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from histodistill.files import whole_file
from histodistill.slides.slide import Slide
from histodistill.tiling.grid import PatchGrid
from histodistill.tiling.tissue import Tissue

LONGEST_SIDE_PX = 2000

_OUTLINE = (0, 160, 0)
_HOLE = (0, 90, 220)
_PATCH = (90, 90, 90)
_INK = (0, 0, 0)
# It comes with matplotlib and has µ and ², which the font within Pillow lacks.
FONT = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
_FOOTER_PX = 44
_MARGIN_PX = 12


def write_preview(path: Path, slide: Slide, tissue: Tissue, grid: PatchGrid | None = None) -> None:
    """Write a thumbnail with the outline (green), its holes (blue), patches and a scale bar.

    Args:
        path: A JPEG or PNG file, by its suffix.
        slide: An open slide.
        tissue: Its tissue.
        grid: Patches to draw, if wanted.

    Raises:
        InputError: If the slide cannot be decoded.
    """
    with whole_file(path) as temporary:
        draw_preview(slide, tissue, grid).save(temporary, quality=90)


def draw_preview(slide: Slide, tissue: Tissue, grid: PatchGrid | None = None) -> Image.Image:
    """Draw the picture that ``write_preview`` writes."""
    thumbnail = Image.fromarray(slide.thumbnail(_reduction(slide) * slide.mpp))
    scale = thumbnail.width / slide.dimensions[0]
    draw = ImageDraw.Draw(thumbnail)
    if grid is not None:
        _draw_patches(draw, grid, scale)
    _draw_outline(draw, tissue, scale)
    picture = Image.new("RGB", (thumbnail.width, thumbnail.height + _FOOTER_PX), "white")
    picture.paste(thumbnail)
    _draw_footer(picture, slide.mpp / scale, _caption(tissue, grid))
    return picture


def _reduction(slide: Slide) -> float:
    """How many times smaller than the slide its picture is.

    As little as the longest side allows, or up to twice as much where a level of the slide is of
    that size: reading the finer level would take as long as encoding a tenth of a small slide.
    """
    least = max(max(slide.dimensions) / LONGEST_SIDE_PX, 1.0)
    at_hand = [level for level in slide.level_downsamples if least <= level <= 2 * least]
    return min(at_hand, default=least)


def _draw_patches(draw: ImageDraw.ImageDraw, grid: PatchGrid, scale: float) -> None:
    side = grid.patch_size_level0 * scale
    for x, y in grid.coords * scale:
        draw.rectangle((x, y, x + side, y + side), outline=_PATCH)


def _draw_outline(draw: ImageDraw.ImageDraw, tissue: Tissue, scale: float) -> None:
    for polygon in tissue.polygons:
        for ring, colour in [
            (polygon.exterior, _OUTLINE),
            *((r, _HOLE) for r in polygon.interiors),
        ]:
            draw.line([(x * scale, y * scale) for x, y in ring.coords], fill=colour, width=2)


def _draw_footer(picture: Image.Image, mpp: float, caption: str) -> None:
    """A scale bar of a round length and a caption, below the thumbnail."""
    draw = ImageDraw.Draw(picture)
    length_um = round_length(picture.width * mpp / 5)
    font = ImageFont.truetype(FONT, 18)
    y = picture.height - _FOOTER_PX / 2
    end = _MARGIN_PX + length_um / mpp
    draw.line((_MARGIN_PX, y, end, y), fill=_INK, width=4)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    draw.text((end + _MARGIN_PX, y), f"{label}    {caption}", fill=_INK, font=font, anchor="lm")


def round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, 20, 50, ... that is not longer than ``most``."""
    power = 10.0 ** math.floor(math.log10(most))
    return max(step * power for step in (1, 2, 5) if step * power <= most)


def _caption(tissue: Tissue, grid: PatchGrid | None) -> str:
    area = f"tissue {tissue.area_um2 / 1e6:.2f} mm²" if tissue.polygons else "no tissue found"
    if grid is None:
        return area
    settings = grid.settings
    return f"{area}, {len(grid)} patches of {settings.patch_um:g} µm at {settings.mpp:g} µm/px"
