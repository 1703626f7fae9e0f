"""Means over the patients of a batch that count.

Batches of the models of a stack are padded to one size; a weight of 0 keeps the padding out of
every term. Without weights all patients count.
"""

from __future__ import annotations

from torch import Tensor


def mean_over_patients(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the first dimension.

    Args:
        values: [n, ...].
        weight: Which patients count, [n] of 0 and 1; None for all. 0 where nobody counts.
    """
    if weight is None:
        return values.mean(dim=0)
    return weighted(values, weight).sum(dim=0) / weight.sum().clamp(min=1)


def weighted(values: Tensor, weight: Tensor | None) -> Tensor:
    """Values [n, ...] of those who count, 0 for the others."""
    if weight is None:
        return values
    return values * weight.view(-1, *(1,) * (values.ndim - 1))


def count(values: Tensor, weight: Tensor | None) -> Tensor | int:
    """How many of n patients count."""
    return len(values) if weight is None else weight.sum()
