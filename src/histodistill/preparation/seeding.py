"""The first centres of k-means on patches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def first_centres(
    patches: NDArray[np.float32], number: int, random_state: np.random.RandomState
) -> NDArray[np.float32]:
    """Patches that lie far apart, by greedy k-means++.

    They are those of scikit-learn, whose own search widens all patches anew for each centre; that
    took most of the fitting of programmes.

    Source: Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Args:
        patches: Patches [n, F].
        number: How many centres.
        random_state: Random stream.

    Returns:
        The centres, [number, F].
    """
    wide = patches.astype(np.float64)
    norms = np.einsum("ij,ij->i", wide, wide)
    across = torch.from_numpy(wide).T
    ones = np.ones(len(patches), np.float32)

    def squared_distances(centres: NDArray[np.intp]) -> NDArray[np.float32]:
        distances = torch.mm(torch.from_numpy(-2 * wide[centres]), across).numpy()
        distances += norms[centres, None]
        distances += norms
        return distances.astype(np.float32).clip(min=0)

    first = random_state.choice(len(patches), p=ones / ones.sum())
    chosen, nearest = [first], squared_distances(np.array([first]))
    total = nearest @ ones
    for _ in range(1, number):
        drawn = random_state.uniform(size=2 + int(np.log(number))) * total
        candidates = np.searchsorted(np.cumsum(nearest), drawn).clip(max=len(patches) - 1)
        closer = np.minimum(nearest, squared_distances(candidates))
        totals = closer @ ones[:, None]
        best = int(totals.argmin())
        chosen.append(candidates[best])
        nearest, total = closer[best], totals[best]
    return patches[chosen]
