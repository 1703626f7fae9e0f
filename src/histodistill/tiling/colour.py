"""What tells tissue from glass, dust and pen: the colour of the light that it absorbs.

Stains absorb red, green and blue differently; glass absorbs nothing, and dust, hairs and smears
absorb all alike. So the spread of the optical densities over the three channels shows even pale
tissue and hardly shows dirt. Inks absorb in proportions that haematoxylin and eosin cannot mix:
they absorb green the most, blue and green inks red.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histodistill.slides.extra import slides_extra

Mask = npt.NDArray[np.uint8]
OpticalDensity = npt.NDArray[np.float32]

# Colour is kept as uint8 in steps of 0.002 (up to 0.5), a quarter of the memory of floats.
COLOUR_STEPS = 500
# Rows worked on at once, which bounds memory.
BAND = 256

# Glass: bright, nearly grey and flat. White that the scanner filled in does not count.
_GLASS_BRIGHTNESS = (200, 253)
_GLASS_TINT = 12
_GLASS_UNEVENNESS = 4
_GLASS_LEAST_SHARE = 0.01


@dataclass(frozen=True)
class ColourMaps:
    """Maps of a slide overview, each ``[height, width]`` uint8.

    Attributes:
        colour: Spread of optical density over the channels, in steps of 1 / ``COLOUR_STEPS``.
        ink: 1 where the colour is that of ink.
        maybe_ink: 1 where it may be the pale edge of a stroke, or tissue.
    """

    colour: Mask
    ink: Mask
    maybe_ink: Mask


def colour_maps(rgb: npt.NDArray[np.uint8]) -> ColourMaps:
    """Measure colour and ink in an overview.

    Args:
        rgb: ``[height, width, 3]`` uint8.
    """
    tables = _density_tables(glass_colour(rgb))
    shape = rgb.shape[:2]
    maps = ColourMaps(*(np.empty(shape, np.uint8) for _ in range(3)))
    for top in range(0, shape[0], BAND):
        rows = slice(top, top + BAND)
        density = np.stack([tables[c][rgb[rows, :, c]] for c in range(3)])
        spread = density.max(axis=0) - density.min(axis=0)
        maps.colour[rows] = np.clip(np.rint(spread * COLOUR_STEPS), 0, 255)
        maps.ink[rows] = _ink(density)
        maps.maybe_ink[rows] = _maybe_ink(density)
    return maps


def glass_colour(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Colour of empty glass under the scanner's lamp, ``[3]``; white if none is in view.

    Args:
        rgb: ``[height, width, 3]`` uint8.
    """
    counts = np.zeros((3, 256), np.int64)
    for top in range(0, rgb.shape[0], BAND):
        band = rgb[top : top + BAND]
        glass = _is_glass(band)
        counts += [np.bincount(band[..., c][glass], minlength=256) for c in range(3)]
    found = counts[0].sum()
    if found < _GLASS_LEAST_SHARE * rgb.shape[0] * rgb.shape[1]:
        return np.full(3, 255.0)
    # The median of each channel, from its histogram.
    return np.asarray((counts.cumsum(axis=1) < found / 2).sum(axis=1), np.float64)


def _is_glass(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    with slides_extra():
        import cv2
    green = np.ascontiguousarray(rgb[..., 1])
    unevenness = cv2.morphologyEx(green, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    return np.asarray(
        (darkest >= _GLASS_BRIGHTNESS[0])
        & (darkest <= _GLASS_BRIGHTNESS[1])
        & (brightest - darkest <= _GLASS_TINT)
        & (np.asarray(unevenness) <= _GLASS_UNEVENNESS)
    )


def _density_tables(glass: npt.NDArray[np.float64]) -> OpticalDensity:
    """Optical density relative to glass of each 8-bit value, ``[3, 256]``; never negative."""
    transmitted = (np.arange(256) + 1.0) / (glass[:, None] + 1.0)
    return np.clip(-np.log10(transmitted), 0, None).astype(np.float32)


def _ink(density: OpticalDensity) -> npt.NDArray[np.bool_]:
    """Colours that no mixture of haematoxylin and eosin has."""
    red, green, blue = density
    highest, lowest = density.max(axis=0), density.min(axis=0)
    green_pen = (red > 0.06) & (red >= 1.4 * green)
    blue_pen = (red > 0.25) & (red >= 0.95 * green) & (blue <= 0.55 * red)
    # Over a few µm even crowded nuclei let more red light through.
    dark_pen = (red > 0.8) & (red >= 0.85 * green)
    red_pen = (green > 0.6) & (red <= 0.1 * green) & (blue >= 0.75 * green)
    black_pen = (lowest > 0.5) & (highest - lowest <= 0.2 * highest)
    return np.asarray(green_pen | blue_pen | dark_pen | red_pen | black_pen)


def _maybe_ink(density: OpticalDensity) -> npt.NDArray[np.bool_]:
    """Colours of the thin edges of strokes and of tissue under ink."""
    red, green, blue = density
    highest, lowest = density.max(axis=0), density.min(axis=0)
    cold = red >= 0.9 * green
    warm = (red <= 0.15 * green) & (blue >= 0.75 * green)
    grey = highest - lowest <= 0.3 * highest
    return np.asarray((highest > 0.02) & (cold | warm | grey))
