"""The patches that speak loudest, side by side, each with the number that the map gives it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from histodistill.explanation.raster import PatchPlaces
from histodistill.slides import Slide
from histodistill.tiling.preview import FONT

_SIDE, _GAP, _LABEL = 160, 10, 24
_CHARACTER_PX = 8
_INK = (20, 20, 20)


def contact_sheet(
    slide: Slide,
    places: PatchPlaces,
    head: Sequence[str],
    rows: Sequence[tuple[str, Sequence[int], Sequence[str]]],
) -> Image.Image:
    """Draw rows of patches, each with its number, its label and its place.

    Args:
        slide: The open slide.
        places: Where its patches lie.
        head: Sentences above them.
        rows: For each row its title, its patches and a label for each of them.

    Raises:
        InputError: The slide cannot be decoded.
    """
    columns = max(len(patches) for _, patches, _ in rows)
    width = _GAP + columns * (_SIDE + _GAP)
    about = f"Patches of {places.side * slide.mpp:.0f} µm; places in px of the slide, as in QuPath."
    lines = [
        line
        for sentence in (*head, about)
        for line in textwrap.wrap(sentence, max(width // _CHARACTER_PX, 20))
    ]
    top = _GAP + len(lines) * _LABEL
    height = top + len(rows) * (_SIDE + 3 * _LABEL + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 15)
    for number, line in enumerate(lines):
        draw.text((_GAP, _GAP + number * _LABEL), line, fill=_INK, font=font)
    number = 1
    for row, (title, patches, labels) in enumerate(rows):
        y = top + row * (_SIDE + 3 * _LABEL + _GAP)
        draw.text((_GAP, y), title, fill=_INK, font=font)
        for column, (patch, label) in enumerate(zip(patches, labels, strict=True)):
            place = _GAP + column * (_SIDE + _GAP), y + _LABEL
            sheet.paste(_patch(slide, places, patch), place)
            x0, y0 = places.coords[patch]
            told = f"{number}: {label}\n{x0:.0f}, {y0:.0f} px"
            draw.text((place[0], place[1] + _SIDE + 2), told, fill=_INK, font=font)
            number += 1
    return sheet


def _patch(slide: Slide, places: PatchPlaces, patch: int) -> Image.Image:
    x, y = places.coords[patch]
    side = places.side
    return Image.fromarray(slide.read_region_rgb(x, y, side, side, (_SIDE, _SIDE)))
