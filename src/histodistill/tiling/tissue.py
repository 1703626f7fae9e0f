"""Tissue as polygons in level-0 px, and the GeoJSON that QuPath reads and writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from histodistill.errors import InputError
from histodistill.files import write_json
from histodistill.slides.extra import slides_extra
from histodistill.slides.slide import Slide

if TYPE_CHECKING:
    from shapely import Geometry, Polygon

TISSUE = "Tissue"
# The colour QuPath draws the outline in.
_OUTLINE_RGB = [0, 160, 0]
# Level-0 px are written to a hundredth, far finer than any outline.
_DECIMALS = 2


@dataclass(frozen=True)
class Tissue:
    """The tissue of a slide.

    Attributes:
        polygons: Valid polygons, maybe with holes, that do not overlap; level-0 px; ordered from
            top to bottom.
        mpp: µm/px of level 0.
    """

    polygons: tuple[Polygon, ...]
    mpp: float

    @classmethod
    def of(cls, polygons: Iterable[Polygon], mpp: float) -> Self:
        """Order polygons, so that the same tissue is always the same object."""
        return cls(tuple(sorted(polygons, key=_top_left)), mpp)

    @property
    def area_um2(self) -> float:
        """Area without holes, µm²."""
        return float(sum(polygon.area for polygon in self.polygons)) * self.mpp**2

    def to_geojson(self) -> dict[str, Any]:
        """A GeoJSON FeatureCollection of QuPath annotations, one per piece of tissue."""
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": _coordinates(polygon)},
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": TISSUE, "color": _OUTLINE_RGB},
                    },
                }
                for polygon in self.polygons
            ],
        }

    @classmethod
    def from_geojson(cls, content: Any, mpp: float) -> Self:
        """Tissue from GeoJSON: the annotations classified "Tissue", or all if none is.

        Args:
            content: A FeatureCollection, a list of features, a feature or a bare geometry, in
                level-0 px. Polygons may overlap; points, lines and detections are passed over.
            mpp: µm/px of level 0.

        Raises:
            ValueError: If it holds no polygon.
        """
        with slides_extra():
            import shapely
        found = list(_annotations(content))
        chosen = [geometry for name, geometry in found if name == TISSUE]
        chosen = chosen or [geometry for _, geometry in found]
        areas = [shapely.make_valid(shapely.from_geojson(json.dumps(item))) for item in chosen]
        polygons = _polygons(shapely.union_all(areas))
        if not polygons:
            raise ValueError("no polygon in it")
        return cls.of(polygons, mpp)

    def write_geojson(self, path: Path) -> None:
        """Write the outline for QuPath (drag it onto the slide), whole or not at all."""
        write_json(path, self.to_geojson())


def read_tissue_geojson(path: Path, slide: Slide) -> Tissue:
    """Read tissue that was outlined elsewhere, for instance in QuPath.

    Args:
        path: GeoJSON in level-0 px of the slide.
        slide: The slide it belongs to; what lies beyond its edges is cut off.

    Raises:
        InputError: If the file is not GeoJSON, holds no polygon, or lies outside the slide.
    """
    with slides_extra():
        import shapely
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        drawn = Tissue.from_geojson(content, slide.mpp)
    except (OSError, ValueError, TypeError, KeyError, shapely.errors.ShapelyError) as error:
        raise InputError(f"{path.name}: not usable as GeoJSON tissue: {error}") from error
    frame = shapely.box(0, 0, *slide.dimensions)
    inside = _polygons(shapely.intersection(shapely.MultiPolygon(drawn.polygons), frame))
    if not inside:
        width, height = slide.dimensions
        raise InputError(
            f"{path.name}: all of it lies outside {slide.path.name} ({width} x {height} px); "
            "its coordinates must be level-0 px of that slide"
        )
    return Tissue.of(inside, slide.mpp)


def _annotations(content: Any) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Yield the class and geometry of every annotation with an area."""
    if isinstance(content, list):
        for item in content:
            yield from _annotations(item)
    elif content["type"] == "FeatureCollection":
        yield from _annotations(content["features"])
    elif content["type"] == "Feature":
        properties = content.get("properties") or {}
        if properties.get("objectType", "annotation") == "annotation":
            name = (properties.get("classification") or {}).get("name")
            yield from ((name, geometry) for _, geometry in _annotations(content["geometry"]))
    elif content["type"] in ("Polygon", "MultiPolygon"):
        yield None, content


def _polygons(geometry: Geometry) -> list[Polygon]:
    """The polygons in whatever an operation returned; lines and points have no area."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _coordinates(polygon: Polygon) -> list[list[list[float]]]:
    rings = [polygon.exterior, *polygon.interiors]
    return [[[round(x, _DECIMALS), round(y, _DECIMALS)] for x, y in ring.coords] for ring in rings]


def _top_left(polygon: Polygon) -> tuple[float, float, float, float, float]:
    left, top, right, bottom = polygon.bounds
    return top, left, bottom, right, polygon.area
