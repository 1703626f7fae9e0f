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
        apart: Whether the colour bar stands below the scale bar, having no room beside it.
    """

    lines: list[tuple[str, float]]
    factor: float
    apart: bool

    @classmethod
    def of(cls, legend: Legend, width: int, scale: _ScaleBar | None) -> _Footer:
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
        taken = _colour_bar_width(legend, factor) + 3 * _MARGIN * factor
        return cls(sized, factor, scale is not None and taken + scale.width(factor) > width)

    @property
    def height(self) -> int:
        """Of the text and the bars below it, px."""
        bars = _LINE * (2 if self.apart else 1)
        return round(self.factor * (_MARGIN * 3 + bars)) + sum(map(self.advance, self.lines))

    def advance(self, line: tuple[str, float]) -> int:
        """From one line to the next, px."""
        return round(line[1] * 1.5)


def _with_footer(
    picture: Image.Image, legend: Legend, mpp: float | None, *, coloured: bool
) -> Image.Image:
    width = max(picture.width, _NARROWEST)
    scale = None if mpp is None else _ScaleBar(mpp, round_length(picture.width * mpp / 5))
    footer = _Footer.of(legend, width, scale if coloured else None)
    margin = round(_MARGIN * footer.factor)
    page = Image.new("RGB", (width, picture.height + footer.height), _PAPER)
    page.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(page)
    y = picture.height + margin
    for line in footer.lines:
        draw.text((margin, y), line[0], fill=_INK, font=_font(line[1]))
        y += footer.advance(line)
    y += margin
    if scale is not None:
        scale.draw(draw, y, footer.factor)
    if coloured:
        y += round(_LINE * footer.factor) if footer.apart else 0
        _colour_bar(page, y, legend, footer.factor)
    return page


@dataclass(frozen=True)
class _ScaleBar:
    """A line of so many µm, where a pixel has so many, and its label."""

    mpp: float
    length_um: float

    @property
    def label(self) -> str:
        um = self.length_um
        return f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"

    def width(self, factor: float) -> float:
        """Of the line and its label, px."""
        return self.length_um / self.mpp + (8 + _length(self.label, 16)) * factor

    def draw(self, draw: ImageDraw.ImageDraw, y: int, factor: float) -> None:
        start, middle = _MARGIN * factor, y + _BAR * factor / 2
        end = start + self.length_um / self.mpp
        draw.line((start, middle, end, middle), fill=_INK, width=round(4 * factor))
        place, font = (end + 8 * factor, middle), _font(16 * factor)
        draw.text(place, self.label, fill=_INK, font=font, anchor="lm")


def _colour_bar_width(legend: Legend, factor: float) -> float:
    """Of the bar and what stands at its two ends, px."""
    ends = (f"{end} (+{legend.scale.limit:g})" for end in (legend.against, legend.towards))
    return factor * (_RAMP + 16 + sum(_length(end, 15) for end in ends))


def _length(text: str, size: float) -> float:
    return float(_font(size).getlength(text))


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
