"""Which patches speak loudest, and which lies where."""

from __future__ import annotations

import numpy as np

from histodistill.explanation.raster import PatchPlaces
from histodistill.viewer.layers import Floats, Layer
from histodistill.viewer.world import Box


def strongest(values: Floats, n_shown: int) -> tuple[list[int], list[int]]:
    """The patches of the highest and of the lowest values, strongest first; none is in both."""
    known = np.flatnonzero(~np.isnan(values))
    n_shown = min(n_shown, len(known) // 2)
    order = known[np.argsort(values[known], kind="stable")]
    return order[::-1][:n_shown].tolist(), order[:n_shown].tolist()


def row_titles(layer: Layer, most: list[int], least: list[int]) -> tuple[str, str]:
    """What the patches of the highest and of the lowest values are called.

    Where all patches of a slide speak for one side, none is shown as speaking for the other.
    """
    if not layer.diverging:
        return "Highest", "Lowest"
    low, high = layer.ends
    above = not most or float(layer.values[most[0]]) > 0
    below = not least or float(layer.values[least[0]]) < 0
    return (
        f"Most for {high}" if above else f"Least for {low}",
        f"Most for {low}" if below else f"Least for {high}",
    )


def box_of(places: PatchPlaces, patch: int) -> Box:
    """Where a patch lies: left, top, right, bottom, level-0 px."""
    x, y = (float(edge) for edge in places.coords[patch])
    return x, y, x + places.side, y + places.side


def patch_at(places: PatchPlaces, x: float, y: float) -> int | None:
    """The patch at a place, level-0 px; of several that overlap the one whose middle is nearest."""
    distance = np.abs(places.coords + places.side / 2 - (x, y)).max(axis=1)
    nearest = int(distance.argmin())
    return nearest if distance[nearest] <= places.side / 2 else None
