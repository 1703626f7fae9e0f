"""Exact area of polygons in many axis-aligned boxes at once.

The area of tissue left of x and above y, for every x and y at which a box begins or ends, gives
the area in a box by four look-ups. That table is filled edge by edge of the outline (Green's
theorem), so time grows with the number of edges and of boxes, and not with their product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def area_table(segments: Floats, xs: Floats, ys: Floats) -> Floats:
    """Area left of each x and above each y.

    Args:
        segments: ``[n, 4]``: x0, y0, x1, y1 of every edge of the outlines, outer rings and holes
            in opposite directions.
        xs: Ascending.
        ys: Ascending.

    Returns:
        ``[len(ys), len(xs)]``; the area of the outlines within ``xs[0] <= x <= xs[j]`` and
        ``ys[0] <= y <= ys[i]``. Its sign depends on the direction of the rings.
    """
    segments = _cut(_cut(segments, ys, axis=1), xs, axis=0)
    row = np.searchsorted(ys, (segments[:, 1] + segments[:, 3]) / 2, side="right") - 1
    within = (row >= 0) & (row < len(ys) - 1)
    row, segments = row[within], segments[within]
    x0, y0, x1, y1 = segments.T
    height, middle = y1 - y0, (x0 + x1) / 2
    column = np.searchsorted(xs, middle, side="right") - 1
    # An edge adds the area between itself and each x to its right: part of its own column's
    # width, the whole width of those further right.
    table = np.zeros((len(ys), len(xs)))
    beside = (column >= 0) & (column < len(xs) - 1)
    cells = row[beside] + 1, column[beside] + 1
    np.add.at(table, cells, height[beside] * (xs[cells[1]] - middle[beside]))
    passed = np.zeros((len(ys), len(xs)))
    whole = column + 2 < len(xs)
    np.add.at(passed, (row[whole] + 1, column[whole] + 2), height[whole])
    table[:, 1:] += np.cumsum(passed, axis=1)[:, 1:] * np.diff(xs)
    return np.asarray(table.cumsum(axis=0).cumsum(axis=1))


def _cut(segments: Floats, lines: Floats, axis: int) -> Floats:
    """Cut segments where they cross lines of constant x (axis 0) or y (axis 1)."""
    start, end = segments[:, axis], segments[:, axis + 2]
    first = np.searchsorted(lines, np.minimum(start, end), side="right")
    last = np.searchsorted(lines, np.maximum(start, end), side="left")
    crossings = np.maximum(last - first, 0)
    pieces = crossings + 1
    index = np.repeat(np.arange(len(segments)), pieces)
    place = np.arange(len(index)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    forward = (end >= start)[index]
    # The k-th crossing along a segment is the k-th line, counted from its own end.
    after = np.where(forward, first[index] + place, first[index] + crossings[index] - 1 - place)
    share_after = _share(segments[index], lines, after, axis)
    share_before = np.roll(share_after, 1)
    share_before[place == 0] = 0.0
    share_after[place == crossings[index]] = 1.0
    origin, step = segments[index, :2], segments[index, 2:] - segments[index, :2]
    return np.hstack([origin + share_before[:, None] * step, origin + share_after[:, None] * step])


def _share(segments: Floats, lines: Floats, which: npt.NDArray[np.intp], axis: int) -> Floats:
    """How far along each segment a line is crossed, from 0 to 1."""
    start, end = segments[:, axis], segments[:, axis + 2]
    line = lines[np.clip(which, 0, len(lines) - 1)]
    length = np.where(end == start, 1.0, end - start)
    return np.asarray(np.clip((line - start) / length, 0.0, 1.0))
