"""Random fields from which tissue is drawn: smooth noise and fibres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array

_TILE = 512
# A fibre's waviness: how far, and over which length, its direction wanders (µm).
_FIBRE_WANDER_UM = 30.0
_FIBRE_WANDER_SCALE_UM = 120.0
_FIBRE_WIDTH_UM = 0.8
_FIBRE_LENGTH_UM = 9.0


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float
) -> NDArray[np.float32]:
    """Gaussian-like noise that varies smoothly over a length: a cubic B-spline of white noise.

    Args:
        rng: Source of the white noise.
        shape: Height and width, pixels.
        scale: Distance of the spline's knots, pixels.

    Returns:
        [height, width] field of mean 0 and standard deviation 1.
    """
    rows, columns = (_spline(length, scale) for length in shape)
    knots = rng.standard_normal((rows.shape[1], columns.shape[1]), dtype=np.float32)
    field = (columns @ (rows @ knots).T).T
    standard: NDArray[np.float32] = (field - field.mean()) / field.std()
    return standard


def fibres(rng: np.random.Generator, shape: tuple[int, int], mpp: float) -> NDArray[np.float32]:
    """Wavy collagen: stretched noise looked up along bent coordinates.

    Args:
        rng: Source of the noise.
        shape: Height and width, pixels.
        mpp: µm per pixel.

    Returns:
        [height, width] field of mean 0 and standard deviation about 1.
    """
    tile = rng.standard_normal((_TILE, _TILE), dtype=np.float32)
    tile = gaussian_filter(tile, (_FIBRE_WIDTH_UM / mpp, _FIBRE_LENGTH_UM / mpp), mode="wrap")
    tile = (tile - tile.mean()) / tile.std()
    angle = rng.uniform(0, np.pi)
    y, x = np.ogrid[: shape[0], : shape[1]]
    wander = smooth_noise(rng, shape, _FIBRE_WANDER_SCALE_UM / mpp) * (_FIBRE_WANDER_UM / mpp)
    across = (x * np.sin(angle) + y * np.cos(angle) + wander).astype(np.int32)
    along = (x * np.cos(angle) - y * np.sin(angle)).astype(np.int32)
    field: NDArray[np.float32] = tile[across % _TILE, along % _TILE]
    return field


def _spline(length: int, scale: float) -> csr_array[np.float32]:
    """Weights [length, knots] of the cubic B-spline with knots ``scale`` apart."""
    knot, t = np.divmod(np.arange(length) / scale, 1)
    weights = np.stack(
        [
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        ],
        axis=1,
    )
    columns = knot.astype(np.int64)[:, None] + np.arange(4)
    starts = np.arange(0, 4 * length + 1, 4)
    return csr_array(
        (weights.ravel().astype(np.float32), columns.ravel(), starts),
        shape=(length, int(columns.max()) + 1),
    )
