"""Haematoxylin and eosin as light absorbers: from stain amounts to colours.

Beer-Lambert: I = I0 · exp(-Σ_s c_s · o_s), with c_s the amount of stain s in a pixel and o_s the
unit vector of its absorption in red, green and blue. Absorption vectors: Ruifrok & Johnston,
Quantification of histochemical staining by color deconvolution, Anal Quant Cytol Histol 2001.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = tuple[float, float, float]

HAEMATOXYLIN: Vector = (0.65, 0.70, 0.29)
EOSIN: Vector = (0.07, 0.99, 0.11)
# Blue felt-tip ink absorbs red most.
PEN_INK: Vector = (0.85, 0.50, 0.15)
_STAIN_VARIATION = 0.05
_LIGHT: Vector = (243.0, 242.0, 245.0)
_LIGHT_VARIATION = 1.5
_SENSOR_NOISE = 2.0


@dataclass(frozen=True)
class Stain:
    """How a laboratory stains and a scanner sees.

    Attributes:
        haematoxylin: Absorption of haematoxylin in red, green, blue; a unit vector.
        eosin: Absorption of eosin; a unit vector.
        light: Intensity I0 behind empty glass, 0 to 255, each colour.
    """

    haematoxylin: NDArray[np.float32]
    eosin: NDArray[np.float32]
    light: NDArray[np.float32]


def draw_stain(rng: np.random.Generator) -> Stain:
    """Draw one laboratory's stains: the published vectors, slightly varied."""
    return Stain(
        haematoxylin=_unit(HAEMATOXYLIN, rng),
        eosin=_unit(EOSIN, rng),
        light=(np.array(_LIGHT) + rng.normal(0, _LIGHT_VARIATION, 3)).astype(np.float32),
    )


def develop(
    stain: Stain,
    haematoxylin: NDArray[np.float32],
    eosin: NDArray[np.float32],
    pen: NDArray[np.float32],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Colours of a field by the Beer-Lambert law, with sensor noise.

    Args:
        stain: Absorption vectors and light.
        haematoxylin: [height, width] amount of haematoxylin.
        eosin: [height, width] amount of eosin.
        pen: [height, width] amount of pen ink on the cover slip.
        rng: Source of the sensor noise.

    Returns:
        [height, width, 3] RGB.
    """
    noise = rng.standard_normal(haematoxylin.shape, dtype=np.float32)
    noise *= _SENSOR_NOISE
    image = np.empty((*haematoxylin.shape, 3), dtype=np.uint8)
    for colour in range(3):
        density = haematoxylin * stain.haematoxylin[colour]
        density += eosin * stain.eosin[colour]
        density += pen * np.float32(PEN_INK[colour])
        intensity = np.exp(-density)
        intensity *= stain.light[colour]
        intensity += noise
        image[..., colour] = intensity.clip(0, 255)
    return image


def _unit(vector: Vector, rng: np.random.Generator) -> NDArray[np.float32]:
    varied = np.array(vector) * np.exp(rng.normal(0, _STAIN_VARIATION, 3))
    unit: NDArray[np.float32] = (varied / np.linalg.norm(varied)).astype(np.float32)
    return unit
