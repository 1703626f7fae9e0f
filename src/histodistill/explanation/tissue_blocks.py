"""Blocks of neighbouring patches, the units in which a map's uncertainty is measured."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def tissue_blocks(coords: NDArray[np.float64], n_blocks: int = 16) -> NDArray[np.int64]:
    """Blocks of neighbouring patches of nearly equal size.

    Patches beside each other look alike, so single patches are not independent evidence; blocks
    nearly are. Tissue is halved across its longer side, again and again.

    Args:
        coords: Positions of the patches in any unit, [N, 2].
        n_blocks: Number of blocks, a power of two; fewer where there are fewer patches.

    Returns:
        The block of each patch, [N] int64, from 0.
    """
    ranks = np.stack([_ranks(column) for column in coords.T], axis=1)
    block = np.zeros(len(coords), dtype=np.int64)
    parts = [np.arange(len(coords))]
    while len(parts) < n_blocks and min(map(len, parts)) > 1:
        parts = [half for part in parts for half in _halves(part, coords, ranks)]
    for number, part in enumerate(parts):
        block[part] = number
    return block


def _ranks(column: NDArray[np.float64]) -> NDArray[np.integer]:
    """Each value's place among all values, in the narrowest type: short numbers sort fast."""
    values, place = np.unique(column, return_inverse=True)
    return np.asarray(place.astype(np.min_scalar_type(len(values))))


def _halves(
    part: NDArray[np.int64], coords: NDArray[np.float64], ranks: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    longer = int(np.ptp(coords[part], axis=0).argmax())
    order = part[np.argsort(ranks[part, longer], kind="stable")]
    middle = len(order) // 2
    return order[:middle], order[middle:]
