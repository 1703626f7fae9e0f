"""Tissue as polygons in level-0 px, and the GeoJSON that QuPath reads and writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from histodistill.errors import InputError, listed
from histodistill.files import write_json
from histodistill.slides.extra import slides_extra
from histodistill.slides.slide import Slide
from histodistill.tiling.annotations import TISSUE, Annotation, choose, read_annotations

if TYPE_CHECKING:
    from shapely import Geometry, Polygon

# The colour QuPath draws the outline in.
_OUTLINE_RGB = [0, 160, 0]
# Level-0 px are written to a hundredth, far finer than any outline.
_DECIMALS = 2
# A share of an outline beyond the slide that is more than a careless edge.
_NOTABLE_SHARE = 0.01
# Programs round the points that they draw; beyond that none lies left of or above a slide.
_ROUNDING_PX = 1
# An outline drawn on the scanned area lies there, but for careless edges.
_LIKELY_SHARE = 0.9
# Outlines of a whole slide with a point every pixel are far smaller.
_LARGEST_FILE = 512 * 2**20


@dataclass(frozen=True)
class Tissue:
    """The tissue of a slide.

    Attributes:
        polygons: Valid polygons, maybe with holes, that do not overlap; level-0 px; ordered from
            top to bottom.
        mpp: µm/px of level 0.
        notes: What people should know of how it was read, a phrase each.
    """

    polygons: tuple[Polygon, ...]
    mpp: float
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, polygons: Iterable[Polygon], mpp: float, notes: Iterable[str] = ()) -> Self:
        """Order polygons, so that the same tissue is always the same object."""
        return cls(tuple(sorted(polygons, key=_top_left)), mpp, tuple(notes))

    @property
    def area_um2(self) -> float:
        """Area without holes, µm²."""
        return float(sum(polygon.area for polygon in self.polygons)) * self.mpp**2

    def to_geojson(self, origin: tuple[int, int] = (0, 0)) -> dict[str, Any]:
        """A GeoJSON FeatureCollection of QuPath annotations, one per piece of tissue.

        Args:
            origin: The point that its coordinates count from, level-0 px.
        """
        return {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {"type": "Polygon", "coordinates": _coordinates(polygon, origin)},
                    "properties": {
                        "objectType": "annotation",
                        "classification": {"name": TISSUE, "color": _OUTLINE_RGB},
                    },
                }
                for polygon in self.polygons
            ],
        }

    @classmethod
    def from_geojson(cls, content: Any, mpp: float, classes: Iterable[str] = ()) -> Self:
        """Tissue from GeoJSON, see :func:`histodistill.tiling.annotations.choose`.

        Args:
            content: A FeatureCollection, a list of features, a feature or a bare geometry.
                Polygons may overlap; points, lines and detections are passed over.
            mpp: µm/px of level 0.
            classes: Classes of annotations that are tissue.

        Raises:
            ValueError: If it holds no polygon of tissue, or leaves open which are.
        """
        with slides_extra():
            import shapely
        choice = choose(read_annotations(content), classes)
        drawn = shapely.difference(_union(choice.tissue), _union(choice.ignored))
        polygons = _polygons(drawn)
        if not polygons:
            raise ValueError("no polygon in it")
        if not np.isfinite(shapely.bounds(drawn)).all():
            raise ValueError("its coordinates are not finite")
        left_out = [f"{name} ({count})" for name, count in choice.left_out.items()]
        notes = [f"annotations not taken for tissue: {listed(left_out)}"] if left_out else []
        return cls.of(polygons, mpp, notes)

    def write_geojson(self, path: Path, slide: Slide) -> None:
        """Write the outline for QuPath (drag it onto the slide), whole or not at all.

        Its coordinates count from the corner of the scanned area, as QuPath's do.
        """
        write_json(path, self.to_geojson(slide.bounds[:2]))


def read_tissue_geojson(path: Path, slide: Slide, classes: Iterable[str] = ()) -> Tissue:
    """Read tissue that was outlined elsewhere, for instance in QuPath.

    Args:
        path: GeoJSON in level-0 px, counted from the corner of the scanned area of the slide
            (``Slide.bounds``; for most formats the corner of the slide), as QuPath counts.
        slide: The slide it belongs to; what lies beyond its edges is cut off.
        classes: Classes of annotations that are tissue; by default "Tissue", or all where none
            is of it and all of them consist of tissue.

    Returns:
        The tissue, in level-0 px of the slide; its notes say what was left out or cut off.

    Raises:
        InputError: If the file is not GeoJSON, holds no polygon of tissue, leaves open which
            are, or lies outside the slide.
    """
    with slides_extra():
        import shapely
        from shapely.affinity import translate
    try:
        drawn = Tissue.from_geojson(_read_json(path), slide.mpp, classes)
    except RecursionError as error:
        raise InputError(f"{path.name}: not usable as GeoJSON tissue: nested too deep") from error
    except (OSError, ValueError, TypeError, KeyError, shapely.errors.ShapelyError) as error:
        raise InputError(f"{path.name}: not usable as GeoJSON tissue: {error}") from error
    left, top = slide.bounds[:2]
    placed = translate(shapely.MultiPolygon(drawn.polygons), left, top)
    _require_on_slide(path, placed, slide)
    inside = shapely.intersection(placed, shapely.box(0, 0, *slide.dimensions))
    notes = [*drawn.notes, *_frame_notes(float(shapely.area(inside) / shapely.area(placed)), slide)]
    return Tissue.of(_polygons(inside), slide.mpp, notes)


def unused_classes(files: Iterable[Path], classes: Iterable[str]) -> list[str]:
    """The classes that no annotation of some files is of; none where the files have none at all.

    Args:
        files: GeoJSON; what cannot be read is told where its slide is.
        classes: Classes of annotations.
    """
    drawn = [each for path in files for each in _annotations(path)]
    return [name for name in classes if drawn and not any(each.is_of((name,)) for each in drawn)]


def _annotations(path: Path) -> list[Annotation]:
    try:
        return list(read_annotations(_read_json(path)))
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def _require_on_slide(path: Path, placed: Geometry, slide: Slide) -> None:
    """Refuse outlines that belong to another slide or count from another corner.

    Raises:
        InputError: Nothing lies in the scanned area, or more would if they counted from the
            corner of the slide.
    """
    import shapely
    from shapely.affinity import translate

    left, top, width, height = slide.bounds
    west, north = (float(edge) for edge in shapely.bounds(placed)[:2])
    if min(west, north) < -_ROUNDING_PX:
        raise InputError(
            f"{path.name}: its coordinates begin at ({west - left:g}, {north - top:g}), left of or "
            f"above {slide.path.name}, where no slide is; is it of another slide or from another "
            "corner? Coordinates are level-0 px from the corner of the scanned area"
        )
    scanned = shapely.box(left, top, left + width, top + height)
    share, other = (
        float(shapely.area(shapely.intersection(each, scanned)) / shapely.area(placed))
        for each in (placed, translate(placed, -left, -top))
    )
    if other > share and share < _LIKELY_SHARE:
        raise InputError(
            f"{path.name}: it seems to count from the corner of {slide.path.name}, but must count "
            f"from the corner of its scanned area ({left}, {top}), as QuPath does; take these off "
            "its coordinates"
        )
    if share == 0:
        raise InputError(
            f"{path.name}: all of it lies outside {slide.path.name} ({width} x {height} px); "
            "its coordinates must be level-0 px of that slide"
        )


def _frame_notes(share_inside: float, slide: Slide) -> list[str]:
    left, top = slide.bounds[:2]
    notes = []
    if left or top:
        notes.append(f"the outline counts from the corner of the scanned area ({left}, {top})")
    if 1 - share_inside > _NOTABLE_SHARE:
        notes.append(f"{1 - share_inside:.0%} of the outline lies outside the slide")
    return notes


def _read_json(path: Path) -> Any:
    """The content of a JSON file of a size that an outline can have.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no ordinary file, too large or no JSON.
    """
    if path.exists() and not path.is_file():
        raise ValueError("not an ordinary file")
    if path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"larger than {_LARGEST_FILE // 2**20} MiB")
    # Windows programs put a byte order mark before UTF-8.
    return json.loads(path.read_text(encoding="utf-8-sig"))


def _union(geometries: Iterable[Mapping[str, Any]]) -> Geometry:
    import shapely

    shapes = [shapely.make_valid(shapely.from_geojson(json.dumps(each))) for each in geometries]
    return shapely.union_all(shapes)


def _polygons(geometry: Geometry) -> list[Polygon]:
    """The polygons in whatever an operation returned; lines and points have no area."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(geometry))
    return [part for part in parts if part.geom_type == "Polygon" and part.area > 0]


def _coordinates(polygon: Polygon, origin: tuple[int, int]) -> list[list[list[float]]]:
    left, top = origin
    return [
        [[round(x - left, _DECIMALS), round(y - top, _DECIMALS)] for x, y, *_ in ring.coords]
        for ring in (polygon.exterior, *polygon.interiors)
    ]


def _top_left(polygon: Polygon) -> tuple[float, float, float, float, float]:
    left, top, right, bottom = polygon.bounds
    return top, left, bottom, right, polygon.area
