"""Per-feature standardisation of patches, fitted on training patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch

from histodistill.errors import InputError
from histodistill.features.bags import BagStore

# Rows converted to float64 at a time.
_CHUNK = 4096
# A feature that varies less than this, relative to its mean, is constant but for rounding.
_CONSTANT = 1e-6


class FeatureScaler:
    """Subtract each feature's mean and divide by its standard deviation.

    Each patient weighs the same, however many patches they have. Constant features become 0.

    Args:
        mean: Float32 [F].
        scale: Float32 [F], positive.
    """

    def __init__(self, mean: torch.Tensor, scale: torch.Tensor) -> None:
        self.mean = mean
        self.scale = scale

    @classmethod
    def fit(cls, store: BagStore, patients: Iterable[str]) -> FeatureScaler:
        """Measure mean and standard deviation over the patches of the training patients.

        Reads one bag at a time; sums in float64.

        Args:
            store: The cohort's bags.
            patients: The training patients, at least one.
        """
        cohort = _Moments(0.0, torch.zeros(()), torch.zeros(()))
        for patient in patients:
            cohort = _merged(cohort, _moments(store.bag(patient))._replace(weight=1.0))
        if not cohort.weight:
            raise ValueError("the scaler needs at least one training patient")
        deviation = cohort.variance.sqrt()
        constant = deviation <= _CONSTANT * cohort.mean.abs().clamp(min=_CONSTANT)
        return cls(cohort.mean.float(), deviation.masked_fill(constant, 1.0).float())

    def transform(self, bag: torch.Tensor) -> torch.Tensor:
        """Standardise patches.

        Args:
            bag: Tensor [..., F] of any floating dtype, on any device.

        Returns:
            Float32 tensor of the same shape, on the same device.
        """
        return (bag.float() - self.mean.to(bag.device)) / self.scale.to(bag.device)

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """The fitted values, to be stored with a model."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor]) -> FeatureScaler:
        """Restore a scaler from what :meth:`to_tensors` returned.

        Raises:
            InputError: The tensors are not those of a scaler.
        """
        mean, scale = tensors.get("mean"), tensors.get("scale")
        if mean is None or scale is None or mean.ndim != 1 or mean.shape != scale.shape:
            raise InputError(
                "The stored feature scaling is damaged: it needs `mean` and `scale` of one length."
            )
        return cls(mean, scale)


class _Moments(NamedTuple):
    weight: float
    mean: torch.Tensor
    variance: torch.Tensor


def _moments(bag: torch.Tensor) -> _Moments:
    """Mean and variance of a bag's rows, in float64."""
    total = _Moments(0.0, torch.zeros(()), torch.zeros(()))
    for rows in torch.split(bag, _CHUNK):
        variance, mean = torch.var_mean(rows.double(), dim=0, correction=0)
        total = _merged(total, _Moments(float(len(rows)), mean, variance))
    return total


def _merged(a: _Moments, b: _Moments) -> _Moments:
    """Weighted mean and variance of two groups together (Chan, Golub and LeVeque, 1983)."""
    weight = a.weight + b.weight
    share = b.weight / weight
    delta = b.mean - a.mean
    variance = (1 - share) * a.variance + share * b.variance + share * (1 - share) * delta**2
    return _Moments(weight, a.mean + share * delta, variance)
