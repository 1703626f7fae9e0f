"""Which patients make up an epoch, and in which batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def epoch_order(labels: Tensor, balanced: bool, generator: torch.Generator) -> Tensor:
    """Positions of the patients of one epoch, [n] int64.

    Balanced, patients are drawn with replacement so that every class is equally frequent on
    average; those without a label are drawn as often as they occur. Otherwise everybody
    comes once, in random order.

    Args:
        labels: Class indices of the training patients, [n] int64; -1 where unknown.
        balanced: Whether classes are balanced.
        generator: Random stream.
    """
    if not balanced:
        return torch.randperm(len(labels), generator=generator)
    return torch.multinomial(
        sampling_weights(labels), len(labels), replacement=True, generator=generator
    )


def sampling_weights(labels: Tensor) -> Tensor:
    """Weight of each patient in balanced sampling, [n] float64, mean 1."""
    classes, inverse, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    known = classes >= 0
    labelled = counts[known].sum()
    weights = torch.ones(len(classes), dtype=torch.float64)
    weights[known] = labelled / (known.sum() * counts[known].double())
    return weights[inverse]


def batches(order: Tensor, size: int) -> Sequence[Tensor]:
    """The epoch cut into batches; the last one may be smaller and is kept."""
    return torch.split(order, size)
