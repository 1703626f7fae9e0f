"""The picture of a map: tissue in grey, evidence in colour, bars and the certificate below."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from histodistill.explanation.contributions import Floats
from histodistill.explanation.palette import EVIDENCE, RGBA, Scale, colours
from histodistill.explanation.raster import PatchPlaces, rasterise
from histodistill.tiling.preview import FONT, round_length

_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (215, 215, 215)
_MARGIN, _LINE, _BAR = 16, 24, 14
_NARROWEST = 640


@dataclass(frozen=True)
class Legend:
    """What is written below a map.

    Attributes:
        title: The slide, the network and the class.
        lines: Sentences, the certificate first.
        against: What the lower end of the colour bar stands for.
        towards: What the upper end stands for.
        marks: Numbers that are drawn at patches: their indices in order of their numbers.
        scale: The colours.
    """

    title: str
    lines: Sequence[str]
    against: str
    towards: str
    marks: Sequence[int] = field(default=())
    scale: Scale = EVIDENCE


def draw_overlay(
    tissue: Image.Image | None,
    places: PatchPlaces,
    values: Floats | None,
    legend: Legend,
    *,
    size: tuple[int, int],
    downsample: float,
    mpp: float | None,
) -> Image.Image:
    """Draw a map.

    Args:
        tissue: The slide at the size of the picture; None where no slide is at hand: then the
            patches themselves are drawn in light grey.
        places: Where the patches lie.
        values: Values of the patches on the legend's scale, [N]; None paints no colour.
        legend: What is written below.
        size: Width and height of the map, px.
        downsample: Level-0 px in a pixel of it.
        mpp: µm in a pixel of it; None draws no scale bar.
    """
    ground = _grounds(tissue, places, size, downsample)
    if values is not None:
        heat = colours(rasterise(places, values, size, downsample), legend.scale)
        ground.alpha_composite(Image.fromarray(heat))
    picture = ground.convert("RGB")
    _draw_marks(picture, places, legend.marks, downsample)
    return _with_footer(picture, legend, mpp, coloured=values is not None)


def _grounds(
    tissue: Image.Image | None, places: PatchPlaces, size: tuple[int, int], downsample: float
) -> Image.Image:
    """Grey tissue: stains are pink and violet, which would be taken for evidence."""
    if tissue is not None:
        return tissue.convert("L").convert("RGBA")
    covered = ~np.isnan(rasterise(places, np.zeros(len(places.coords)), size, downsample))
    plain: RGBA = np.full((*covered.shape, 4), 255, dtype=np.uint8)
    plain[covered, :3] = _FAINT
    return Image.fromarray(plain)


def _draw_marks(
    picture: Image.Image, places: PatchPlaces, marks: Sequence[int], downsample: float
) -> None:
    draw, font = ImageDraw.Draw(picture), _font(15)
    side = max(places.side / downsample, 6)
    for number, patch in enumerate(marks, start=1):
        x, y = places.coords[patch] / downsample
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline=_INK, width=2)
        draw.text(
            (x + side + 2, y), str(number), fill=_INK, font=font, stroke_width=2, stroke_fill=_PAPER
        )


def _with_footer(
    picture: Image.Image, legend: Legend, mpp: float | None, *, coloured: bool
) -> Image.Image:
    width = max(picture.width, _NARROWEST)
    wrapped = [
        line
        for sentence in legend.lines
        for line in textwrap.wrap(sentence, max(int((width - 2 * _MARGIN) / 9), 20))
    ]
    title = textwrap.wrap(legend.title, max(int((width - 2 * _MARGIN) / 11), 20))
    height = picture.height + _MARGIN * 3 + _LINE * (len(wrapped) + len(title) + 1) + 4 * len(title)
    page = Image.new("RGB", (width, height), _PAPER)
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    y = picture.height + _MARGIN
    for line, size in [*((line, 19) for line in title), *((line, 16) for line in wrapped)]:
        draw.text((_MARGIN, y), line, fill=_INK, font=_font(size))
        y += _LINE if size < 18 else _LINE + 4
    y += _MARGIN
    if mpp is not None:
        _scale_bar(draw, y, mpp, picture.width)
    if coloured:
        _colour_bar(page, y, legend)
    return page


def _scale_bar(draw: ImageDraw.ImageDraw, y: int, mpp: float, width: int) -> None:
    length_um = round_length(width * mpp / 5)
    end = _MARGIN + length_um / mpp
    draw.line((_MARGIN, y + 7, end, y + 7), fill=_INK, width=4)
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    draw.text((end + 8, y + 7), label, fill=_INK, font=_font(16), anchor="lm")


def _colour_bar(page: Image.Image, y: int, legend: Legend) -> None:
    """The fixed scale, on white as on the lightest tissue."""
    length = 180
    limit = legend.scale.limit
    ramp = colours(np.linspace(-limit, limit, length), legend.scale)
    painted = Image.fromarray(np.tile(ramp, (_BAR, 1, 1)))
    bar = Image.new("RGBA", painted.size, (*_PAPER, 255))
    bar.alpha_composite(painted)
    draw, font = ImageDraw.Draw(page), _font(15)
    right = page.width - _MARGIN
    towards = f"{legend.towards} (+{limit:g})"
    right -= int(draw.textlength(towards, font=font))
    draw.text((right, y + 7), towards, fill=_INK, font=font, anchor="lm")
    left = right - 8 - length
    page.paste(bar.convert("RGB"), (left, y))
    draw.rectangle((left, y, left + length, y + _BAR), outline=_INK)
    draw.text(
        (left - 8, y + 7), f"{legend.against} (-{limit:g})", fill=_INK, font=font, anchor="rm"
    )


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, size)
