"""The patch grid: which squares of a slide hold enough tissue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histodistill.errors import InputError
from histodistill.tiling.coverage import area_table
from histodistill.tiling.settings import TilingSettings
from histodistill.tiling.tissue import Tissue

# Scanners that mean 0.5 µm/px record up to 0.52; enlarging by so little blurs nothing.
UPSAMPLING_TOLERANCE = 1.1
# Fractions are exact but for float dust, which must not decide at a round threshold.
_DECIMALS = 9


@dataclass(frozen=True)
class PatchGrid:
    """Patches in row-major order: from top to bottom, within a row from left to right.

    Attributes:
        coords: ``[n, 2]`` int64: x and y of the top left corner, level-0 px.
        patch_size_level0: Width and height of a patch, level-0 px: its µm divided by the slide's
            µm/px, rounded to whole px (half a px at most is 0.2 % of a patch of 256).
        stride_level0: Distance of neighbouring patches, level-0 px, rounded likewise.
        tissue_fraction: ``[n]`` float64: share of each patch that is tissue.
        settings: What the grid was made with; a patch is read to ``patch_px`` squared.
    """

    coords: npt.NDArray[np.int64]
    patch_size_level0: int
    stride_level0: int
    tissue_fraction: npt.NDArray[np.float64]
    settings: TilingSettings

    def __len__(self) -> int:
        return len(self.coords)


def tile(
    dimensions: tuple[int, int],
    mpp: float,
    tissue: Tissue,
    settings: TilingSettings | None = None,
) -> PatchGrid:
    """Lay the grid from the slide's top left corner and keep the patches with enough tissue.

    Args:
        dimensions: Width and height of the slide, level-0 px. Patches lie wholly inside.
        mpp: µm/px of level 0.
        tissue: Where there is tissue.
        settings: Size, overlap and least tissue of a patch.

    Returns:
        The patches kept; at least one.

    Raises:
        InputError: If there is no tissue, the slide is too coarse for the µm/px wanted, or no
            patch is kept. The message does not name the slide.
    """
    settings = settings or TilingSettings()
    if not tissue.polygons:
        raise InputError("no tissue found; check the outline picture")
    if mpp > settings.mpp * UPSAMPLING_TOLERANCE and not settings.allow_upsampling:
        raise InputError(
            f"the slide has {mpp:g} µm/px, too coarse for patches at {settings.mpp:g} µm/px; "
            f"choose {mpp:g} or more, or allow upsampling"
        )
    size = max(round(settings.patch_um / mpp), 1)
    stride = max(round(size * (1 - settings.overlap)), 1)
    left, top = (np.arange(0, length - size + 1, stride, dtype=np.int64) for length in dimensions)
    fraction = _tissue_fraction(tissue, left, top, size)
    kept = (fraction >= settings.min_tissue) & (fraction > 0)
    if not kept.any():
        raise InputError(
            f"no patch of {settings.patch_um:g} µm has at least {settings.min_tissue:.0%} tissue; "
            "check the outline picture"
        )
    rows, columns = np.nonzero(kept)
    coords = np.column_stack([left[columns], top[rows]])
    return PatchGrid(coords, size, stride, fraction[kept], settings)


def _tissue_fraction(
    tissue: Tissue, left: npt.NDArray[np.int64], top: npt.NDArray[np.int64], size: int
) -> npt.NDArray[np.float64]:
    """Share of tissue in every square of the grid, ``[len(top), len(left)]``."""
    if not len(left) or not len(top):
        return np.zeros((len(top), len(left)))
    xs = np.unique(np.concatenate([left, left + size]))
    ys = np.unique(np.concatenate([top, top + size]))
    table = area_table(_segments(tissue), xs.astype(np.float64), ys.astype(np.float64))
    x0, x1 = np.searchsorted(xs, left), np.searchsorted(xs, left + size)
    y0, y1 = np.searchsorted(ys, top), np.searchsorted(ys, top + size)
    strips = table[:, x1] - table[:, x0]
    area = strips[y1] - strips[y0]
    return np.asarray(np.clip(np.round(np.abs(area) / size**2, _DECIMALS), 0, 1))


def _segments(tissue: Tissue) -> npt.NDArray[np.float64]:
    """Every edge of the outline, outer rings one way round and holes the other."""
    return np.vstack([np.hstack([ring[:-1], ring[1:]]) for ring in _rings(tissue)])


def _rings(tissue: Tissue) -> Iterator[npt.NDArray[np.float64]]:
    for polygon in tissue.polygons:
        # Which way a ring runs is up to who made the polygon.
        exterior = np.asarray(polygon.exterior.coords)[:, :2]
        yield exterior if polygon.exterior.is_ccw else exterior[::-1]
        for ring in polygon.interiors:
            hole = np.asarray(ring.coords)[:, :2]
            yield hole[::-1] if ring.is_ccw else hole
