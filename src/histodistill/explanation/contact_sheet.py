"""The patches that speak loudest, side by side, each with the number that the map gives it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from histodistill.explanation.raster import PatchPlaces
from histodistill.slides import Slide
from histodistill.tiling.preview import FONT

_SIDE, _GAP, _LABEL = 160, 10, 24
_INK = (20, 20, 20)


def contact_sheet(
    slide: Slide,
    places: PatchPlaces,
    rows: Sequence[tuple[str, Sequence[int], Sequence[str]]],
    first_number: int = 1,
) -> Image.Image:
    """Draw rows of patches, below their size.

    Args:
        slide: The open slide.
        places: Where its patches lie.
        rows: For each row its title, its patches and a label for each of them.
        first_number: Number of the first patch.

    Raises:
        InputError: The slide cannot be decoded.
    """
    columns = max(len(patches) for _, patches, _ in rows)
    width = _GAP + columns * (_SIDE + _GAP)
    height = _GAP + _LABEL + len(rows) * (_SIDE + 2 * _LABEL + _GAP)
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(FONT, 15)
    about = f"Patches of {places.side * slide.mpp:.0f} µm; share in the log odds x patches"
    draw.text((_GAP, _GAP), about, fill=_INK, font=font)
    number, y = first_number, _GAP + _LABEL
    for title, patches, labels in rows:
        draw.text((_GAP, y), title, fill=_INK, font=font)
        for column, (patch, label) in enumerate(zip(patches, labels, strict=True)):
            left = _GAP + column * (_SIDE + _GAP)
            x0, y0 = places.coords[patch]
            pixels = slide.read_region_rgb(x0, y0, places.side, places.side, (_SIDE, _SIDE))
            sheet.paste(Image.fromarray(pixels), (left, y + _LABEL))
            text = f"{number}: {label}"
            draw.text((left, y + _LABEL + _SIDE + 2), text, fill=_INK, font=font)
            number += 1
        y += _SIDE + 2 * _LABEL + _GAP
    return sheet
