"""From a mask of any resolution to polygons in level-0 px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histodistill.slides.extra import slides_extra
from histodistill.tiling.tissue import Tissue

if TYPE_CHECKING:
    from shapely import Geometry, Polygon

# Contours run through the centres of border pixels; half a pixel outwards lies their edge. A
# hair less keeps neighbouring pieces from touching.
_TO_PIXEL_EDGE = 0.499


def outline(
    mask: npt.NDArray[np.uint8],
    dimensions: tuple[int, int],
    mpp: float,
    *,
    min_area_um2: float,
    min_hole_um2: float,
) -> Tissue:
    """Outline the pieces of a mask that covers the whole slide.

    Args:
        mask: ``[height, width]``; not 0 where there is tissue.
        dimensions: Width and height of the slide, level-0 px.
        mpp: µm/px of level 0.
        min_area_um2: Smaller pieces are dropped.
        min_hole_um2: Smaller holes are filled.
    """
    with slides_extra():
        import shapely
        from shapely.affinity import affine_transform
    across, down = dimensions[0] / mask.shape[1], dimensions[1] / mask.shape[0]
    um2 = across * down * mpp**2
    pieces = []
    for polygon in _pixel_polygons(mask):
        holes = [
            ring for ring in polygon.interiors if shapely.Polygon(ring).area * um2 >= min_hole_um2
        ]
        piece = shapely.Polygon(polygon.exterior, holes)
        if piece.area * um2 >= min_area_um2:
            pieces.append(affine_transform(piece, [across, 0, 0, down, 0, 0]))
    return Tissue.of(pieces, mpp)


def _pixel_polygons(mask: npt.NDArray[np.uint8]) -> list[Polygon]:
    """Polygons along the edges of pixels, in mask px with (0, 0) at the mask's corner."""
    import cv2
    import shapely

    contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    rings = [np.asarray(contour, np.float64)[:, 0] + 0.5 for contour in contours]
    polygons: list[Polygon] = []
    for index, ring in enumerate(rings):
        _, _, child, parent = hierarchy[0][index]
        if parent >= 0:
            continue
        holes = []
        while child >= 0:
            holes.append(rings[child])
            child = hierarchy[0][child][0]
        whole = shapely.buffer(
            _through_centres(ring, holes), _TO_PIXEL_EDGE, cap_style="square", join_style="mitre"
        )
        polygons += [part for part in shapely.get_parts(whole) if part.geom_type == "Polygon"]
    return polygons


def _through_centres(
    ring: npt.NDArray[np.float64], holes: list[npt.NDArray[np.float64]]
) -> Geometry:
    """The shape through the centres of border pixels; one or two pixels have no inside."""
    import shapely

    if len(ring) == 1:
        return shapely.Point(ring[0])
    if len(ring) == 2:
        return shapely.LineString(ring)
    return shapely.make_valid(shapely.Polygon(ring, [hole for hole in holes if len(hole) > 2]))
