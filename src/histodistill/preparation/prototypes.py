"""Prototypes of tissue: how much of a bag is like each of them, beside its squashed features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.features import BagStore
from histodistill.features.within_bags import patches_differ, share_within
from histodistill.preparation.seeding import first_centres

# Patches that prototypes are found on, of all patients together, and the least for each prototype.
_PATCHES = 100_000
_PATCHES_OF_EACH = 20
# Patches share out among prototypes that are about as near as the nearest: by the softmax of
# squared distances, in this part of their usual distance to the nearest one.
_SOFTNESS = 0.3
# Patches on which the usual distance is measured, about.
_MEASURED = 8192


class Prototypes:
    """Memberships of patches in prototypes of tissue: soft k-means, whose shares add up to 1.

    The mean of a bag's memberships is its composition. Linear networks read from it what is no
    linear function of the mean patch, such as how much there is of a rare tissue.

    Args:
        centres: Float32 [P, F], in features as they are stored.
        sharpness: Reciprocal of the softmax's temperature, per squared distance: float32 [1].
    """

    def __init__(self, centres: Tensor, sharpness: Tensor) -> None:
        self.centres = centres
        self.sharpness = sharpness

    def __len__(self) -> int:
        return len(self.centres)

    @classmethod
    def fit(cls, patches: NDArray[np.float32], number: int) -> Prototypes:
        """Find prototypes by k-means on patches [n, F]; fewer of them where patches are few."""
        from sklearn.cluster import MiniBatchKMeans  # which no answer of a trained model waits for

        number = max(1, min(number, len(patches) // _PATCHES_OF_EACH))
        means = MiniBatchKMeans(
            number,
            init=first_centres,
            batch_size=4096,
            max_iter=30,
            n_init=1,
            random_state=0,
            compute_labels=False,
        )
        centres = torch.from_numpy(means.fit(patches).cluster_centers_).float()
        some = torch.from_numpy(patches[:: max(1, len(patches) // _MEASURED)])
        usual = float(_squared_distances(some, centres).amin(dim=1).median())
        return cls(centres, torch.tensor([1 / (_SOFTNESS * max(usual, 1e-12))]))

    def transform(self, bag: Tensor) -> Tensor:
        """Memberships [n, P] float32 of patches [n, F] of any floating dtype, on their device."""
        distances = _squared_distances(bag.float(), self.centres.to(bag.device))
        return torch.softmax(-self.sharpness.to(bag.device) * distances, dim=1)


def find_prototypes(bags: BagStore, patients: Sequence[str], number: int) -> Prototypes | None:
    """Prototypes of the patches of some patients, of each about as many.

    Args:
        bags: Bags of the cohort.
        patients: Training patients.
        number: How many; at most one for 20 patches.

    Returns:
        None where less than half of the variance of patches lies within bags: there prototypes
        would be of patients.
    """
    generator = torch.Generator().manual_seed(0)
    size = max(1, _PATCHES // len(patients))
    drawn = [bags.sample(p, size, generator).float().cpu().numpy() for p in patients]
    if not patches_differ(share_within(drawn)):
        return None
    return Prototypes.fit(np.concatenate(drawn), number)


def _squared_distances(patches: Tensor, centres: Tensor) -> Tensor:
    """Squared distances [n, P] of patches [n, F] to centres [P, F], up to a constant of each."""
    norms = patches.square().sum(dim=1, keepdim=True)
    products = torch.addmm(centres.square().sum(dim=1), patches, centres.T, alpha=-2)
    return (products + norms).clamp_(min=0)
