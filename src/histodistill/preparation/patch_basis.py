"""What programmes are a linear function of: squashed features, and what is read beside them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.preparation.proportions import Detectors
from histodistill.preparation.prototypes import Prototypes
from histodistill.preparation.squash import Squash, mean_of


class PatchBasis:
    """Squashed features, then memberships in prototypes, then the answers of detectors.

    Args:
        squash: Squashes the features.
        prototypes: Prototypes of the same features.
        detectors: Detectors of the same features; None where none are read.
    """

    def __init__(
        self, squash: Squash, prototypes: Prototypes, detectors: Detectors | None = None
    ) -> None:
        self.squash = squash
        self.prototypes = prototypes
        self.detectors = detectors

    def transform(self, bag: Tensor) -> Tensor:
        """Patches [n, F] of any floating dtype as float32 [n, F + P + m], on their device."""
        read = [self.squash.transform(bag), self.prototypes.transform(bag)]
        if self.detectors is not None:
            read.append(self.detectors.transform(bag))
        return torch.cat(read, dim=1)

    def mean(self, bag: Tensor) -> NDArray[np.float64]:
        """The mean [F + P + m] over a bag [n, F]."""
        return mean_of(self.transform, bag)

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored with a model."""
        own = {"prototypes": self.prototypes.centres, "sharpness": self.prototypes.sharpness}
        found = {} if self.detectors is None else self.detectors.to_tensors()
        return {**self.squash.to_tensors(), **own, **found}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> PatchBasis:
        """Restore what :meth:`to_tensors` returned."""
        prototypes = Prototypes(tensors["prototypes"], tensors["sharpness"])
        detectors = Detectors.from_tensors(tensors) if "detectors_bias" in tensors else None
        return cls(Squash.from_tensors(tensors), prototypes, detectors)
