"""Colours of layers: palettes that the colour-blind can read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from histodistill.viewer.layers import Floats, Layer

RGBA = NDArray[np.uint8]

DIVERGING = {"RdBu_r": "blue to red", "PuOr_r": "violet to orange", "PiYG_r": "green to pink"}
SEQUENTIAL = {"viridis": "viridis", "cividis": "cividis", "magma": "magma"}


@dataclass(frozen=True)
class Look:
    """How a layer is painted.

    Attributes:
        palette: Name of the palette.
        threshold: What lies below is clear; of layers on both sides of 0, what lies nearer to it.
    """

    palette: str
    threshold: float


def palettes_for(layer: Layer) -> dict[str, str]:
    """The palettes that suit a layer, and what they are called."""
    return DIVERGING if layer.diverging else SEQUENTIAL


def colours(values: Floats, layer: Layer, look: Look) -> RGBA:
    """Colours of values, [..., 4] uint8; NaN and what the threshold hides are clear.

    Raises:
        KeyError: The palette does not suit the layer.
    """
    if look.palette not in palettes_for(layer):
        raise KeyError(look.palette)
    low, high = layer.limits
    known = np.nan_to_num(values, nan=low)
    place = np.clip((known - low) / (high - low), 0, 1)
    painted = _table(look.palette)[(place * 255).round().astype(np.int64)]
    shown = ~np.isnan(values)
    if layer.diverging:
        # The eye sees little of a thin veil: half the evidence has two thirds of the cover.
        cover = np.clip(np.abs(known) / max(-low, high), 0, 1) ** 0.6
        shown &= np.abs(known) >= look.threshold
    else:
        cover = np.ones_like(known)
        shown &= known >= look.threshold
    painted[..., 3] = np.where(shown, cover * 255, 0)
    return painted


def gradient(palette: str) -> str:
    """The palette as a CSS background."""
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b, _ in _table(palette)[::15])
    return f"linear-gradient(to right, {stops})"


@cache
def _table(palette: str) -> RGBA:
    import matplotlib as mpl

    return np.asarray(mpl.colormaps[palette](np.arange(256), bytes=True), dtype=np.uint8)
