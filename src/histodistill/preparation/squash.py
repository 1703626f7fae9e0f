"""Features on a scale that outliers do not rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# A feature whose mean patch varies less than this, relative to its mean, says nothing.
CONSTANT = 1e-6
# Patches that are read at a time: what is made of them stays in a processor's cache; a device
# that waits for calls gets more.
_PATCHES, _PATCHES_OF_A_GPU = 256, 8192


class Squash:
    """Standardised features, compressed: ``sign(z) log(1 + |z|)``, elementwise.

    What another hospital's stain or scanner puts far away stays within reach.

    Args:
        centre: Mean of each feature, float32 [F].
        rate: Reciprocal of its standard deviation, float32 [F]; 0 for constant features.
    """

    def __init__(self, centre: Tensor, rate: Tensor) -> None:
        self.centre = centre
        self.rate = rate

    @classmethod
    def fit(cls, means: NDArray[np.float64]) -> Squash:
        """Measure the mean patches [n, F] of the training patients."""
        centre, deviation = means.mean(axis=0), means.std(axis=0)
        constant = deviation <= CONSTANT * np.maximum(np.abs(centre), CONSTANT)
        rate = 1 / np.where(constant, np.inf, deviation)
        return cls(torch.from_numpy(centre).float(), torch.from_numpy(rate).float())

    def transform(self, bag: Tensor) -> Tensor:
        """Patches [n, F] of any floating dtype, squashed: float32, on their device."""
        standardised = bag.float() - self.centre.to(bag.device)
        standardised *= self.rate.to(bag.device)
        return standardised.abs().log1p_().copysign_(standardised)

    def mean(self, bag: Tensor) -> NDArray[np.float64]:
        """The mean squashed patch [F] of a bag [n, F]."""
        return mean_of(self.transform, bag)

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored with a model."""
        return {"centre": self.centre, "rate": self.rate}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Squash:
        """Restore what :meth:`to_tensors` returned."""
        return cls(tensors["centre"], tensors["rate"])


def in_parts(bag: Tensor) -> Sequence[Tensor]:
    """The patches of a bag [n, F], as many at a time as are read fastest; at least one part."""
    return torch.split(bag, _PATCHES if bag.device.type == "cpu" else _PATCHES_OF_A_GPU)


def mean_of(read: Callable[[Tensor], Tensor], bag: Tensor) -> NDArray[np.float64]:
    """The mean [D] of what is read of the patches of a bag [n, F], some of them at a time."""
    sums = [read(rows).sum(dim=0, dtype=torch.float64) for rows in in_parts(bag)]
    return np.asarray((torch.stack(sums).sum(dim=0) / len(bag)).cpu())
