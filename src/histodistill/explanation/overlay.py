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
_MARGIN, _LINE, _BAR, _RAMP = 16, 24, 14, 180
_NARROWEST = 640
# A picture of this width is written in the sizes given here, a wider one in larger ones.
_USUAL = 1200
# A frame of so many px has room for its number.
_ROOMY = 20


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
    factor = _factor(picture.width)
    draw, font = ImageDraw.Draw(picture), _font(15 * factor)
    side, line = max(places.side / downsample, 6), round(2 * factor)
    for number, patch in enumerate(marks, start=1):
        x, y = places.coords[patch] / downsample
        draw.rectangle((x - 1, y - 1, x + side, y + side), outline=_INK, width=line)
        # Within the frame: beside it, it would seem to name the neighbour.
        place = (x + 3 * factor, y) if side > _ROOMY * factor else (x + side + 2, y)
        draw.text(place, str(number), fill=_INK, font=font, stroke_width=line, stroke_fill=_PAPER)


def _factor(width: int) -> float:
    """How much larger than usual a wide picture is written, which is looked at as a whole."""
    return max(width / _USUAL, 1.0)


@dataclass(frozen=True)
class _Footer:
    """What is written below a picture, and how large.

    Attributes:
        lines: Text and size of each line, px.
        factor: Of all lengths.
    """

    lines: list[tuple[str, float]]
    factor: float

    @classmethod
    def of(cls, legend: Legend, width: int) -> _Footer:
        """The legend, broken into lines that fit the width."""
        factor = _factor(width)
        room = (width - 2 * _MARGIN * factor) / factor
        title = textwrap.wrap(legend.title, max(int(room / 11), 20))
        lines = [
            line
            for sentence in legend.lines
            for line in textwrap.wrap(sentence, max(int(room / 9), 20))
        ]
        sized = [*((line, 19 * factor) for line in title), *((line, 16 * factor) for line in lines)]
        return cls(sized, factor)

    @property
    def height(self) -> int:
        """Of the text and the bars below it, px."""
        return round(self.factor * (_MARGIN * 3 + _LINE)) + sum(map(self.advance, self.lines))

    def advance(self, line: tuple[str, float]) -> int:
        """From one line to the next, px."""
        return round(line[1] * 1.5)


def _with_footer(
    picture: Image.Image, legend: Legend, mpp: float | None, *, coloured: bool
) -> Image.Image:
    width = max(picture.width, _NARROWEST)
    footer = _Footer.of(legend, width)
    margin = round(_MARGIN * footer.factor)
    page = Image.new("RGB", (width, picture.height + footer.height), _PAPER)
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    y = picture.height + margin
    for line in footer.lines:
        draw.text((margin, y), line[0], fill=_INK, font=_font(line[1]))
        y += footer.advance(line)
    y += margin
    if mpp is not None:
        _scale_bar(draw, y, mpp, picture.width, footer.factor)
    if coloured:
        _colour_bar(page, y, legend, footer.factor)
    return page


def _scale_bar(draw: ImageDraw.ImageDraw, y: int, mpp: float, width: int, factor: float) -> None:
    length_um = round_length(width * mpp / 5)
    start, middle = _MARGIN * factor, y + _BAR * factor / 2
    end = start + length_um / mpp
    draw.line((start, middle, end, middle), fill=_INK, width=round(4 * factor))
    label = f"{length_um / 1000:g} mm" if length_um >= 1000 else f"{length_um:g} µm"
    draw.text((end + 8 * factor, middle), label, fill=_INK, font=_font(16 * factor), anchor="lm")


def _colour_bar(page: Image.Image, y: int, legend: Legend, factor: float) -> None:
    """The fixed scale, on white as on the lightest tissue."""
    length, height, gap = round(_RAMP * factor), round(_BAR * factor), round(8 * factor)
    limit, middle = legend.scale.limit, y + height / 2
    ramp = colours(np.linspace(-limit, limit, length), legend.scale)
    painted = Image.fromarray(np.tile(ramp, (height, 1, 1)))
    bar = Image.new("RGBA", painted.size, (*_PAPER, 255))
    bar.alpha_composite(painted)
    draw, font = ImageDraw.Draw(page), _font(15 * factor)
    right = page.width - round(_MARGIN * factor)
    towards = f"{legend.towards} (+{limit:g})"
    right -= int(draw.textlength(towards, font=font))
    draw.text((right, middle), towards, fill=_INK, font=font, anchor="lm")
    left = right - gap - length
    page.paste(bar.convert("RGB"), (left, y))
    draw.rectangle((left, y, left + length, y + height), outline=_INK)
    against = f"{legend.against} (-{limit:g})"
    draw.text((left - gap, middle), against, fill=_INK, font=font, anchor="rm")


def _font(size: float) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(FONT, round(size))
