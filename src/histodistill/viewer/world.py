"""Where a slide lies on the map that the browser shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

TILE = 256
"""Edge of a tile, px."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class World:
    """A slide laid on a web map, whose world is a square of tiles in the Mercator projection.

    At the deepest zoom a pixel of the map is one of level 0; each zoom before it halves the slide.
    The slide's corner is the world's north-western one.

    Attributes:
        width: Width of the slide, level-0 px.
        height: Height of the slide, level-0 px.
    """

    width: float
    height: float

    @property
    def max_zoom(self) -> int:
        """The zoom at which the slide is shown pixel by pixel."""
        return max(math.ceil(math.log2(max(self.width, self.height, 1) / TILE)), 0)

    def downsample(self, zoom: float) -> float:
        """Level-0 px in a pixel of the map."""
        return float(2.0 ** (self.max_zoom - zoom))

    def latlng(self, x: float, y: float) -> tuple[float, float]:
        """Latitude and longitude of a place on the slide, given in level-0 px."""
        edge = TILE * self.downsample(0)
        angle = math.pi * (1 - 2 * y / edge)
        return math.degrees(math.atan(math.sinh(angle))), x / edge * 360 - 180

    def pixel(self, lat: float, lng: float) -> tuple[float, float]:
        """Level-0 px of a place on the map; the inverse of :meth:`latlng`."""
        edge = TILE * self.downsample(0)
        angle = math.asinh(math.tan(math.radians(lat)))
        return (lng + 180) / 360 * edge, (1 - angle / math.pi) / 2 * edge

    def bounds(self, box: Box) -> list[list[float]]:
        """Corners, as Leaflet takes them, of a box (left, top, right, bottom) in level-0 px."""
        left, top, right, bottom = box
        return [list(self.latlng(left, top)), list(self.latlng(right, bottom))]

    @property
    def whole(self) -> list[list[float]]:
        """Corners of the whole slide."""
        return self.bounds((0, 0, self.width, self.height))

    def box(self, zoom: int, column: int, row: int) -> Box | None:
        """What a tile shows, level-0 px, beyond the slide's edges too; None where it shows nothing.

        Args:
            zoom: From 0 to ``max_zoom``.
            column: Of the tile, from the left.
            row: Of the tile, from the top.
        """
        if not 0 <= zoom <= self.max_zoom or column < 0 or row < 0:
            return None
        edge = TILE * self.downsample(zoom)
        left, top = column * edge, row * edge
        if left >= self.width or top >= self.height:
            return None
        return left, top, left + edge, top + edge
