"""What tells tissue from glass, dust and pen: the colour of the light that it absorbs.

Stains absorb red, green and blue differently; glass absorbs nothing, and dust, hairs and smears
absorb all alike. So the spread of the optical densities over the three channels shows even pale
tissue and hardly shows dirt. Inks absorb in proportions that haematoxylin and eosin cannot mix:
they absorb green the most, blue and green inks red.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histodistill.slides.extra import slides_extra

Mask = npt.NDArray[np.uint8]
Pixels = npt.NDArray[np.uint8]
OpticalDensity = npt.NDArray[np.float32]

# Colour is kept as uint8 in steps of 0.002 (up to 0.5), a quarter of the memory of floats.
COLOUR_STEPS = 500
# Rows worked on at once, which bounds memory.
BAND = 256

# Glass: bright, flat and nearly grey. White that the scanner filled in does not count.
_GLASS_BRIGHTNESS = (200, 253)
_GLASS_TINT = 12
_GLASS_UNEVENNESS = 4
_GLASS_LEAST_SHARE = 0.01
# Old glass, mounting media and warm lamps are yellowish or greenish, which no stain of H&E is.
_TINTED_BRIGHTNESS = (170, 253)
_TINTED_MOST = 60
# Tinted glass is all the glass there is; flecks of that colour on a grey slide are not.
_TINTED_TIMES_GREY = 4
# Glass of a colour that pale stain may have too fills much of the slide, and nothing is brighter.
_STAIN_LIKE_BRIGHTNESS = (100, 253)
_STAIN_LIKE_MOST = 40
_STAIN_LIKE_LEAST_SHARE = 0.1
_MOST_BRIGHTER = 0.02
# Half the width of the cluster of one kind of glass, in 8-bit levels.
_CLUSTER = 12
# A grey picture has no more colour than compression leaves.
_GREY_TINT = 6


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

    Nearly grey glass is looked for first. Where far more of the slide is flat and of a tint that
    haematoxylin and eosin cannot have, that is the glass; so is any pale tint that fills much of
    the slide and that nothing outshines, since tissue is darker than the glass under it.

    Args:
        rgb: ``[height, width, 3]`` uint8.
    """
    grey = _found(rgb, _is_grey)
    tinted = _found(rgb, _is_tinted)
    least = _GLASS_LEAST_SHARE * rgb[..., 0].size
    fewest = max(least, _TINTED_TIMES_GREY * len(grey))
    if len(tinted) > fewest:
        return _median(_largest_cluster(tinted))
    like_stain = _largest_cluster(_found(rgb, _is_like_stain))
    if len(like_stain) > max(fewest, _STAIN_LIKE_LEAST_SHARE * rgb[..., 0].size):
        colour = _median(like_stain)
        if _share_brighter(rgb, colour) <= _MOST_BRIGHTER:
            return colour
    return np.full(3, 255.0) if len(grey) < least else _median(grey)


def _found(rgb: Pixels, kind: Callable[[Pixels], npt.NDArray[np.bool_]]) -> Pixels:
    """Flat pixels of a kind, ``[n, 3]``."""
    with slides_extra():
        import cv2
    found = []
    for top in range(0, rgb.shape[0], BAND):
        band = rgb[top : top + BAND]
        green = np.ascontiguousarray(band[..., 1])
        unevenness = cv2.morphologyEx(green, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))
        found.append(band[kind(band) & (np.asarray(unevenness) <= _GLASS_UNEVENNESS)])
    return np.concatenate(found)


def _is_grey(rgb: Pixels) -> npt.NDArray[np.bool_]:
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    return np.asarray(
        (darkest >= _GLASS_BRIGHTNESS[0])
        & (darkest <= _GLASS_BRIGHTNESS[1])
        & (brightest - darkest <= _GLASS_TINT)
    )


def _is_tinted(rgb: Pixels) -> npt.NDArray[np.bool_]:
    """Yellowish (blue is lowest, and green no nearer to it than in orange) or greenish."""
    red, green, blue = np.moveaxis(rgb.astype(np.int16), 2, 0)
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    tint = brightest - darkest
    yellowish = (blue == darkest) & (3 * (green - blue) >= red - blue)
    greenish = green == brightest
    return np.asarray(
        (darkest >= _TINTED_BRIGHTNESS[0])
        & (darkest <= _TINTED_BRIGHTNESS[1])
        & (tint <= _TINTED_MOST)
        & (tint > 0)
        & (yellowish | greenish)
    )


def _is_like_stain(rgb: Pixels) -> npt.NDArray[np.bool_]:
    """Pale and of any colour, pink and blue among them."""
    darkest, brightest = rgb.min(axis=2), rgb.max(axis=2)
    return np.asarray(
        (darkest >= _STAIN_LIKE_BRIGHTNESS[0])
        & (brightest <= _STAIN_LIKE_BRIGHTNESS[1])
        & (brightest - darkest <= _STAIN_LIKE_MOST)
    )


def _share_brighter(rgb: Pixels, colour: npt.NDArray[np.float64]) -> float:
    """The share of pixels, less white that was filled in, that outshine a colour in a channel."""
    limit = colour + _CLUSTER
    brighter = 0
    for top in range(0, rgb.shape[0], BAND):
        band = rgb[top : top + BAND]
        seen = band.min(axis=2) <= _STAIN_LIKE_BRIGHTNESS[1]
        brighter += int(((band > limit).any(axis=2) & seen).sum())
    return brighter / rgb[..., 0].size


def _largest_cluster(pixels: Pixels) -> Pixels:
    """Pixels around the most frequent colour, binned by eight levels."""
    if not len(pixels):
        return pixels
    bins = pixels.astype(np.int32) >> 3
    index = (bins[:, 0] << 10) + (bins[:, 1] << 5) + bins[:, 2]
    fullest = int(np.bincount(index).argmax())
    centre = np.array([fullest >> 10, fullest >> 5 & 31, fullest & 31]) * 8 + 4
    near: Pixels = pixels[(np.abs(pixels.astype(np.int32) - centre) <= _CLUSTER).all(axis=1)]
    return near


def _median(pixels: Pixels) -> npt.NDArray[np.float64]:
    """The median of each channel, from its histogram."""
    counts = np.stack([np.bincount(pixels[:, c], minlength=256) for c in range(3)])
    return np.asarray((counts.cumsum(axis=1) < len(pixels) / 2).sum(axis=1), np.float64)


def is_without_colour(rgb: Pixels) -> bool:
    """Whether a picture is grey but not empty: a fluorescence image, or a colour lost on export.

    Args:
        rgb: ``[height, width, 3]`` uint8.
    """
    coloured = shown = 0
    for top in range(0, rgb.shape[0], BAND):
        band = rgb[top : top + BAND]
        darkest, brightest = band.min(axis=2), band.max(axis=2)
        coloured += int((brightest - darkest > _GREY_TINT).sum())
        shown += int((darkest < _GLASS_BRIGHTNESS[0]).sum())
    return shown > _GLASS_LEAST_SHARE * rgb[..., 0].size and coloured < shown / 100


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
