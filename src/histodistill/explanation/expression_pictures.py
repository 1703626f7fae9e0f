"""Pictures of predicted expression: a map a gene, and all programmes on one sheet."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from histodistill.explanation.contributions import Floats
from histodistill.explanation.expression import ExpressionMap
from histodistill.explanation.frame import Frame
from histodistill.explanation.geojson import write_geojson
from histodistill.explanation.overlay import Legend
from histodistill.explanation.palette import EXPRESSION, PROGRAMME
from histodistill.explanation.predictability import Predictable
from histodistill.explanation.raster import PatchPlaces
from histodistill.features.slide import SlideFeatures
from histodistill.files import folder_name, whole_file
from histodistill.tiling.preview import FONT

_PANEL, _COLUMNS, _GAP = 640, 3, 12
CAUTION = (
    "Learnt from the expression of whole tumours: how true it is of single patches was not "
    "measured. Research use only."
)


def write_expression(
    folder: Path,
    features: SlideFeatures,
    found: ExpressionMap,
    places: PatchPlaces,
    frame: Frame,
) -> None:
    """Write the pictures of a slide's predicted expression, and its patches for QuPath.

    Args:
        folder: Where the files go; it exists.
        features: The slide's features.
        found: Predicted expression of its patient.
        places: Where the patches lie.
        frame: Of the pictures.
    """
    values = found.of_slide(features)
    for layer in found.layers:
        if layer.kind == "gene":
            picture = _gene(features, layer, values[layer.name], places, frame)
            _save(picture, folder / f"{folder_name(layer.name.replace(':', '-'))}.png")
    programmes = [layer for layer in found.layers if layer.kind == "programme"]
    if programmes:
        _save(_sheet(features, programmes, values, places, frame), folder / "programmes.png")
    if values:
        write_geojson(folder / "expression.geojson", places, values, frame.origin)


def _gene(
    features: SlideFeatures, gene: Predictable, values: Floats, places: PatchPlaces, frame: Frame
) -> Image.Image:
    lines = [
        f"Predicted from slides with {gene.sentence}.",
        f"Standard deviations of the gene among training patients; mean of this slide "
        f"{values.mean():+.2f}.",
        CAUTION,
    ]
    title = f"{features.path.stem}: predicted expression of {gene.name}"
    legend = Legend(title, lines, "low", "high", scale=EXPRESSION)
    return frame.draw(places, values, legend)


def _sheet(
    features: SlideFeatures,
    programmes: list[Predictable],
    values: dict[str, Floats],
    places: PatchPlaces,
    frame: Frame,
) -> Image.Image:
    """Programmes side by side, each with the genes that name it."""
    small = frame.shrunk(_PANEL)
    panels = [
        small.draw(places, values[programme.name], _panel_legend(programme))
        for programme in programmes
    ]
    title = (
        f"{features.path.stem}: programmes of expression, in standard deviations of what slides "
        f"predict of training patients. {CAUTION}"
    )
    return tiled(panels, title)


def _panel_legend(programme: Predictable) -> Legend:
    return Legend(
        f"{programme.name}: {programme.named_genes}",
        [f"Predicted from slides with {programme.sentence}."],
        "low",
        "high",
        scale=PROGRAMME,
    )


def tiled(panels: list[Image.Image], title: str) -> Image.Image:
    """Pictures of one width in rows, below a title."""
    columns = min(_COLUMNS, len(panels))
    rows = [panels[first : first + columns] for first in range(0, len(panels), columns)]
    heights = [max(panel.height for panel in row) + _GAP for row in rows]
    width = columns * (max(panel.width for panel in panels) + _GAP) + _GAP
    lines = textwrap.wrap(title, max(width // 10, 20))
    head = 24 * len(lines) + 2 * _GAP
    page = Image.new("RGB", (width, head + sum(heights)), "white")
    font = ImageFont.truetype(FONT, 18)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((_GAP, _GAP + 24 * number), line, fill=(20, 20, 20), font=font)
    for row, y in zip(rows, head + np.cumsum([0, *heights[:-1]]), strict=True):
        for column, panel in enumerate(row):
            page.paste(panel, (_GAP + column * (panel.width + _GAP), int(y)))
    return page


def _save(picture: Image.Image, path: Path) -> None:
    with whole_file(path) as temporary:
        picture.save(temporary)
