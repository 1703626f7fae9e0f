"""Heads: which of a network's logits answer which target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from histodistill.model.batch import Output


@dataclass(frozen=True)
class Head:
    """The logits of one target; a network has them one target after the other.

    Attributes:
        n_classes: Number C of the target's classes, at least 2.
        ordered: Whether the classes stand in an order, which the loss respects.
        weight: How much the target's labels count beside those of other targets.
    """

    n_classes: int
    ordered: bool = False
    weight: float = 1.0


Heads = tuple[Head, ...]

# Of one target, whose classes have no order; how many they are, the logits tell.
ONE_TARGET: Heads = (Head(2),)


def n_classes_of(heads: Sequence[Head]) -> tuple[int, ...]:
    """Number of classes of each head."""
    return tuple(head.n_classes for head in heads)


def shares(heads: Sequence[Head]) -> list[float]:
    """Weight of each head, all together 1."""
    total = sum(head.weight for head in heads)
    return [head.weight / total for head in heads]


def label_columns(labels: Tensor) -> tuple[Tensor, ...]:
    """The labels of each target, [n], of those of one, [n], or of T, [n, T]."""
    return (labels,) if labels.ndim == 1 else labels.unbind(1)


def answers_of_heads(output: Output, heads: Sequence[Head]) -> Iterator[Output]:
    """An output of sum C logits as that of each head, [n, C]; a single head's as it is."""
    if len(heads) == 1:
        yield output
        return
    for logits in torch.split(output.logits, list(n_classes_of(heads)), dim=1):
        yield replace(output, logits=logits)
