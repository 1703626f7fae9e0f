"""Colours of maps: one fixed scale for all slides, safe for the colour-blind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # colours are painted where nothing is computed, and PyTorch is not needed
    from histodistill.explanation.contributions import Floats

# Log odds of a probability of .05 and .95: what lies beyond has the strongest colour. The scale is
# the same for every slide and every model, so a negative slide never looks as hot as a positive.
LIMIT = 3.0
# The weakest evidence is clear, the strongest hides this much of the tissue: what is below must be
# seen, since it is what the map is about.
OPACITY = 0.6

RGBA = NDArray[np.uint8]


@dataclass(frozen=True)
class Scale:
    """A fixed scale of colours.

    Attributes:
        limit: Values beyond it, on either side, have the strongest colour.
        palette: Matplotlib's name of a diverging palette.
    """

    limit: float
    palette: str


EVIDENCE = Scale(LIMIT, "RdBu_r")
# What one network sees more than another is no evidence.
DIFFERENCE = Scale(LIMIT, "PiYG_r")
# Other colours than evidence, which expression is not: what is high is orange, what is low violet.
EXPRESSION = Scale(2.0, "PuOr_r")
PROGRAMME = Scale(4.0, "PuOr_r")


def density(support: Floats) -> Floats:
    """A map's values on the fixed scale, from the shares of N patches in the log odds, [N].

    The share of a patch is small because there are many. Times their number it is the log odds
    (less the constant) that the slide would have if all its patches brought what this one does;
    the mean over the patches is what the slide has.
    """
    return support * len(support)


def colours(values: Floats, scale: Scale = EVIDENCE) -> RGBA:
    """Colours of values, [..., 4] uint8; of evidence, blue against the class and red for it.

    NaN is clear.
    """
    import matplotlib as mpl

    known = np.nan_to_num(np.clip(values / scale.limit, -1, 1))
    painted = np.asarray(mpl.colormaps[scale.palette]((known + 1) / 2) * 255).round()
    # The eye sees little of a thin veil: half the evidence has two thirds of the cover.
    painted[..., 3] = np.abs(known) ** 0.6 * OPACITY * 255
    return np.asarray(painted, dtype=np.uint8)
