"""Which patients make up an epoch, and in which batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from histodistill.model.heads import label_columns

# Rounds over all targets; labels that go together as receptors do need about 20.
_TURNS = 100


def epoch_order(size: int, weights: Tensor | None, generator: torch.Generator) -> Tensor:
    """Positions of the patients of one epoch, [n] int64.

    Args:
        size: Number n of training patients.
        weights: How often each is drawn, with replacement, [n] float64, as
            :func:`sampling_weights`; None for everybody once, in random order.
        generator: Random stream.
    """
    if weights is None:
        return torch.randperm(size, generator=generator)
    return torch.multinomial(weights, size, replacement=True, generator=generator)


def sampling_weights(labels: Tensor) -> Tensor:
    """Weight of each patient in balanced sampling, [n] float64, mean 1.

    Every class is equally frequent on average; those without a label are drawn as often as they
    occur. Of several targets, each in turn is balanced anew until all are: raking. Where no weights
    balance all of them, they are the best that this many turns give.

    Source: Deming & Stephan, "On a least squares adjustment of a sampled frequency table when the
    expected marginal totals are known", Annals of Mathematical Statistics 1940.

    Args:
        labels: Class indices of the training patients, [n] int64, of T targets [n, T]; -1 where
            unknown.
    """
    columns = label_columns(labels)
    weights = torch.ones(len(labels), dtype=torch.float64)
    for _ in range(_TURNS if len(columns) > 1 else 1):
        for column in columns:
            weights = weights * _balancing(column, weights)
    return weights if len(columns) == 1 else weights / weights.mean()


def _balancing(labels: Tensor, weights: Tensor) -> Tensor:
    """Factor of each patient, [n], that makes weighted classes equally frequent."""
    classes, inverse = torch.unique(labels, return_inverse=True)
    counts = torch.zeros(len(classes), dtype=torch.float64).index_add(0, inverse, weights)
    known = classes >= 0
    factors = torch.ones(len(classes), dtype=torch.float64)
    factors[known] = counts[known].sum() / (known.sum() * counts[known])
    return factors[inverse]


def batches(order: Tensor, size: int) -> Sequence[Tensor]:
    """The epoch cut into batches; the last one may be smaller and is kept."""
    return torch.split(order, size)
