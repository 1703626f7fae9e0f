"""WiKG: a directed graph among the patches that the patches themselves draw (Li et al., CVPR 2024).

Each patch has an embedding as head and one as tail of an edge. The tails most like a head are its
neighbours; edge and neighbour together weigh what the head learns from each of them. Two things
are as in the authors' code: hidden patches are averaged with their bag's mean before the graph
is drawn, and a patch may be its own neighbour. One is as in the paper: the weight of a neighbour
is an inner product with the tanh (eq. 6), where the code multiplies two sums.

The order of the patches does not count.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import pool_bags
from histodistill.model.layers.ends import classifier
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent

NEIGHBOURS = 6
# Heads whose neighbours are looked for at a time: likeness to all tails of a large slide at once
# would need gigabytes.
_BLOCK = 1024


@STUDENTS.declare(
    "wikg",
    text="WiKG, a graph that the patches draw among themselves",
    source="Li 2024, CVPR",
    differs="as the code: patches are averaged with their bag's mean, and a patch may be its own "
    "neighbour; as the paper: a neighbour's weight is an inner product with the tanh (eq. "
    "6), where the code multiplies two sums",
    heads=True,
)
class WiKG(MILStudent):
    """One round of messages over the graph, then attention pooling."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width = settings.width
        self.patches = nn.Sequential(nn.Linear(shape.feature_width, width), nn.LeakyReLU())
        self.head = nn.Linear(width, width)
        self.tail = nn.Linear(width, width)
        self.from_sum = nn.Linear(width, width)
        self.from_product = nn.Linear(width, width)
        self.dropout = nn.Dropout(settings.dropout)
        self.attention = nn.Sequential(
            nn.Linear(width, settings.attention_width),
            nn.LeakyReLU(),
            nn.Linear(settings.attention_width, 1),
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = classifier(shape.n_classes, settings)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = _with_mean(self.patches(bags.patches), bags.sizes)
        head = self.head(hidden)
        message = _message(head, self.tail(hidden), bags.sizes)
        updated = leaky_relu(self.from_sum(head + message))
        updated = self.dropout(updated + leaky_relu(self.from_product(head * message)))
        pooled = pool_bags(self.attention(updated).squeeze(-1), updated, bags.sizes)
        features = self.norm(pooled)
        return Output(features, self.classifier(features), bags.rows)


def _with_mean(hidden: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Half of each patch and half of its bag's mean, [P, d]."""
    means = torch.stack([bag.mean(dim=0) for bag in torch.split(hidden, list(sizes))])
    return (hidden + means.repeat_interleave(torch.tensor(sizes, device=hidden.device), dim=0)) / 2


def _message(head: Tensor, tail: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """What each head [P, d] learns from the tails [P, d] of its neighbours, [P, d]."""
    found = neighbours(head, tail, sizes)
    absent = found < 0
    near = tail.index_select(0, found.clamp(min=0).flatten()).view(*found.shape, -1)
    heads = head[:, None]
    likeness = (heads @ near.mT).squeeze(1) / math.sqrt(head.shape[1])
    share = torch.softmax(likeness.masked_fill(absent, -torch.inf), dim=1)
    edge = torch.lerp(heads, near, share[..., None].to(near.dtype))
    knowledge = (near * torch.tanh(heads + edge)).sum(dim=-1)
    weights = torch.softmax(knowledge.masked_fill(absent, -torch.inf), dim=1)
    message: Tensor = weights[:, None].to(near.dtype) @ near
    return message.squeeze(1)


@torch.no_grad()
def neighbours(head: Tensor, tail: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The patches of the same bag whose tails are most like each head.

    Args:
        head: Patches as heads, [P, d].
        tail: Patches as tails, [P, d].
        sizes: Patches in each bag.

    Returns:
        Positions among the P patches, [P, 6] int64; -1 where the bag has no more patches.
    """
    lengths = list(sizes)
    found, start = [], 0
    for heads, tails in zip(torch.split(head, lengths), torch.split(tail, lengths), strict=True):
        k = min(NEIGHBOURS, len(tails))
        for block in torch.split(heads, _BLOCK):
            nearest = start + (block @ tails.T).topk(k, dim=1).indices
            found.append(pad(nearest, (0, NEIGHBOURS - k), value=-1))
        start += len(tails)
    return torch.cat(found)
