"""Nuclei: where they lie, and their haematoxylin, stamped many at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_JITTER = 0.42
_NUCLEOLUS_RADIUS = 0.28


@dataclass(frozen=True)
class NucleusKind:
    """A population of nuclei.

    Attributes:
        radius_um: Median radius, µm.
        size_spread: Standard deviation of the logarithm of the radius.
        elongation: Median ratio of the long to the short axis, at least 1.
        irregularity: Amplitude of the outline's lobes, relative to the radius.
        haematoxylin: Amount of stain.
        vesicularity: From 0 (evenly dark) to 1 (clear inside, a rim and a nucleolus).
    """

    radius_um: float
    size_spread: float
    elongation: float
    irregularity: float
    haematoxylin: float
    vesicularity: float


def place(
    rng: np.random.Generator, density: NDArray[np.float32], spacing: float
) -> NDArray[np.float32]:
    """Scatter points on a jittered grid, thinned to a local density.

    Args:
        rng: Source of the jitter and the thinning.
        density: [height, width] probability, 0 to 1, that a grid point is kept.
        spacing: Distance of the grid points, pixels.

    Returns:
        [n, 2] x and y, pixels.
    """
    height, width = density.shape
    y, x = np.mgrid[spacing / 2 : height : spacing, spacing / 2 : width : spacing]
    # Every other row is shifted by half a step: neighbours then lie as in a packed sheet.
    x[1::2] += spacing / 2
    points = np.stack([x.ravel(), y.ravel()], axis=1)
    points += rng.uniform(-_JITTER * spacing, _JITTER * spacing, points.shape)
    inside = ((points >= 0) & (points < (width, height))).all(axis=1)
    kept = rng.random(len(points))
    points, kept = points[inside], kept[inside]
    column, row = points.astype(np.int64).T
    centres: NDArray[np.float32] = points[kept < density[row, column]].astype(np.float32)
    return centres


def stamp(
    rng: np.random.Generator,
    canvas: NDArray[np.float32],
    centres: NDArray[np.float32],
    kind: NucleusKind,
    mpp: float,
) -> None:
    """Draw nuclei into a map of haematoxylin; where two overlap, the darker one shows.

    Args:
        rng: Source of each nucleus's size, shape and darkness.
        canvas: [height, width] amount of haematoxylin, changed in place.
        centres: [n, 2] x and y, pixels.
        kind: The population.
        mpp: µm per pixel.
    """
    if not len(centres):
        return
    size = kind.size_spread * rng.standard_normal(len(centres)).clip(-2, 2)
    radius = (kind.radius_um / mpp * np.exp(size)).astype(np.float32)
    stretch = np.sqrt(1 + (kind.elongation - 1) * rng.gamma(4, 0.25, len(centres)).clip(0, 2.5))
    reach = int(np.ceil((radius * stretch).max() * (1 + kind.irregularity))) + 1
    window = np.arange(-reach, reach + 1)
    columns = centres[:, 0].astype(np.int64)[:, None, None] + window[None, None, :]
    rows = centres[:, 1].astype(np.int64)[:, None, None] + window[None, :, None]
    distance = _ellipse_distance(
        rng,
        columns - centres[:, 0, None, None],
        rows - centres[:, 1, None, None],
        stretch.astype(np.float32),
        radius,
        kind.irregularity,
    )
    darkness = kind.haematoxylin * np.exp(rng.normal(0, 0.12, len(centres))).astype(np.float32)
    amount = darkness[:, None, None] * _profile(distance, radius, kind.vesicularity)
    height, width = canvas.shape
    seen = (amount > 0) & (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    np.maximum.at(canvas.reshape(-1), (rows * width + columns)[seen], amount[seen])


def _ellipse_distance(
    rng: np.random.Generator,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    stretch: NDArray[np.float32],
    radius: NDArray[np.float32],
    irregularity: float,
) -> NDArray[np.float32]:
    """Distance from each nucleus's centre in units of its lobed, elongated outline."""
    count = len(radius)
    turn, phase = rng.uniform(0, 2 * np.pi, (2, count, 1, 1)).astype(np.float32)
    long = x * np.cos(turn) + y * np.sin(turn)
    short = y * np.cos(turn) - x * np.sin(turn)
    stretch, radius = stretch[:, None, None], radius[:, None, None]
    distance: NDArray[np.float32] = np.hypot(long / stretch, short * stretch) / radius
    if irregularity:
        lobes = np.sin(3 * np.arctan2(short, long) + phase)
        distance *= 1 + np.float32(irregularity) * lobes
    return distance


def _profile(
    distance: NDArray[np.float32], radius: NDArray[np.float32], vesicularity: float
) -> NDArray[np.float32]:
    """Stain from the centre (0) to the outline (1), an edge one pixel wide."""
    edge = ((1 - distance) * radius[:, None, None] + 0.5).clip(0, 1)
    if not vesicularity:
        return edge
    inside = 1 - np.float32(0.6 * vesicularity) * (1 - distance.clip(0, 1) ** 3)
    nucleolus = distance < _NUCLEOLUS_RADIUS
    inside[nucleolus] = 1 + 0.1 * vesicularity
    return edge * inside
