"""How hospitals stain: each absorbs and colours a little differently.

By Beer-Lambert (`histodistill.simulation.stain`) the optical density of a pixel is linear in the
amounts of haematoxylin, of eosin and of what is left. A hospital that stains otherwise therefore
multiplies densities by one 3 x 3 matrix: amounts from the published absorption vectors, times how
strongly the hospital stains, times its own vectors. A hospital stains alike in every cohort,
whatever the seed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodistill.simulation.stain import EOSIN, HAEMATOXYLIN
from histodistill.simulation.truth import Stream

Stain = NDArray[np.float64]
_WHITE = 256.0


def hospital_stains(n_sites: int, shift: float) -> list[Stain | None]:
    """The density matrices [3, 3] of the hospitals; one None, for all of them, without a shift.

    Args:
        n_sites: Number of hospitals.
        shift: Standard deviation of the logarithm of how strongly each stain absorbs; half as
            much for the absorption of each colour.
    """
    return [_stain(site, shift) for site in range(n_sites)] if shift else [None]


def _stain(site: int, shift: float) -> Stain:
    rng = np.random.default_rng([int(Stream.STAIN), site])
    published = _with_residual(np.array([HAEMATOXYLIN, EOSIN]))
    strength = np.exp(shift * rng.standard_normal(2))
    colours = np.exp(shift / 2 * rng.standard_normal((2, 3)))
    own = _with_residual(np.array([HAEMATOXYLIN, EOSIN]) * colours)
    matrix: Stain = np.linalg.inv(published) @ np.diag([*strength, 1.0]) @ own
    return matrix


def restain(pixels: NDArray[np.uint8], stain: Stain | None) -> NDArray[np.uint8]:
    """Pixels as a hospital would have stained them.

    Args:
        pixels: [..., 3] RGB.
        stain: Its density matrix; None leaves them as they are.
    """
    if stain is None:
        return pixels
    density = -np.log((pixels.astype(np.float32) + 1) / np.float32(_WHITE))
    light = np.float32(_WHITE) * np.exp(-(density @ stain.astype(np.float32))) - 1
    stained: NDArray[np.uint8] = np.rint(light).clip(0, 255).astype(np.uint8)
    return stained


def _with_residual(vectors: NDArray[np.float64]) -> Stain:
    """Unit absorption vectors of both stains, and of a third that is orthogonal to them."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    residual = np.cross(unit[0], unit[1])
    return np.stack([*unit, residual / np.linalg.norm(residual)])
