"""RRT-MIL: patches re-embedded region by region, then ABMIL (Tang et al., CVPR 2024).

The patches are laid row by row on a square that is cut into regions. Patches attend to those of
their region, with positions from a convolution of the attention (EPEG); then a few
representatives of each region attend to those of the other regions, and are handed back.

As in the authors' code, there are always 8 x 8 regions, and the zeros that fill the square up are
attended like patches. The order of the patches counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import pool_bags
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.abmil_plain import Attention
from histodistill.model.students.base import MILStudent

HEADS = 8
REGIONS_A_SIDE = 8
POSITION_KERNEL = 15
REPRESENTATIVES = 3


@dataclass(frozen=True)
class Regions:
    """Where the N patches of a bag lie in its R = 64 regions of S places.

    Attributes:
        patches: The patch at each place, [R, S] int64; N or more where a place is empty.
        taken: Whether there is a patch, [R, S] bool.
    """

    patches: Tensor
    taken: Tensor

    @classmethod
    def of(cls, n_patches: int, device: torch.device) -> Regions:
        """The regions of a bag of ``n_patches``."""
        side = math.isqrt(n_patches - 1) + 1
        size = -(-side // REGIONS_A_SIDE)
        places = torch.arange((REGIONS_A_SIDE * size) ** 2, device=device)
        grid = places.view(REGIONS_A_SIDE, size, REGIONS_A_SIDE, size)
        blocks = grid.transpose(1, 2).reshape(-1, size * size)
        return cls(blocks, blocks < n_patches)

    def divide(self, bag: Tensor) -> Tensor:
        """The patches [N, d] by region, [R, S, d], zero at empty places."""
        places = bag.new_zeros(*self.taken.shape, bag.shape[1])
        places[self.taken] = bag[self.patches[self.taken]]
        return places

    def join(self, places: Tensor) -> Tensor:
        """The patches [N, d] in their order, from the regions [R, S, d]."""
        return places[self.taken][self.patches[self.taken].argsort()]


class RegionAttention(nn.Module):
    """Multi-head self-attention within regions, with positions (R-MSA and EPEG).

    Args:
        width: Size d of a hidden patch.
        dropout: Dropout probability of the output.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        inner = HEADS * -(-width // HEADS)
        self.projections = nn.Linear(width, 3 * inner)
        # No bias: the softmax would not see it.
        self.positions = nn.Conv2d(
            HEADS,
            HEADS,
            (POSITION_KERNEL, 1),
            padding=(POSITION_KERNEL // 2, 0),
            groups=HEADS,
            bias=False,
        )
        self.output = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))

    def forward(self, places: Tensor) -> Tensor:
        """From regions [R, S, d] to the same."""
        query, key, value = _heads(self.projections(places))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        weights = torch.softmax(scores + self.positions(scores), dim=-1)
        attended: Tensor = self.output(_merged(weights.to(value.dtype) @ value))
        return attended


class CrossRegionAttention(nn.Module):
    """Multi-head self-attention among the representatives of the regions (CR-MSA).

    Args:
        width: Size d of a hidden patch.
        dropout: Dropout probability of the output.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        inner = HEADS * -(-width // HEADS)
        self.representatives = nn.Linear(width, REPRESENTATIVES, bias=False)
        self.projections = nn.Linear(width, 3 * inner)
        self.output = nn.Sequential(nn.Linear(inner, width), nn.Dropout(dropout))

    def forward(self, places: Tensor) -> Tensor:
        """From regions [R, S, d] to the same."""
        scores = self.representatives(places)
        gathered = torch.einsum("rsd,rsk->krd", places, torch.softmax(scores, 1).to(places.dtype))
        tokens = self.output(
            _merged(scaled_dot_product_attention(*_heads(self.projections(gathered))))
        )
        top, bottom = scores.amax(dim=1, keepdim=True), scores.amin(dim=1, keepdim=True)
        scaled = (scores - bottom) / (top - bottom + 1e-8)
        share = scaled * torch.softmax(scores, dim=2)
        return torch.einsum("krd,rsk->rsd", tokens, share.to(tokens.dtype))


@STUDENTS.declare(
    "rrt",
    text="RRT-MIL, patches embedded again by regions",
    source="Tang 2024, CVPR",
    differs="nothing: the code's numbers, with `--da_act tanh` and biases in its pooling",
    reads="slides, the order of patches counts",
    heads=True,
)
class RRT(MILStudent):
    """Attention within regions, attention across them, and ABMIL without gate."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, dropout = settings.width, settings.dropout
        self.patches = nn.Sequential(
            patch_embedding(shape.feature_width, settings), nn.Dropout(settings.dropout)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.within = RegionAttention(width, dropout)
        self.across = CrossRegionAttention(width, dropout)
        self.attention = Attention(width, settings.attention_width)
        self.classifier = classifier(shape.n_classes, settings)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = torch.split(self.patches(bags.patches), list(bags.sizes))
        embedded = torch.cat([self._re_embedded(bag) for bag in hidden])
        features = pool_bags(self.attention(embedded), embedded, bags.sizes)
        return Output(features, self.classifier(features), bags.rows)

    def _re_embedded(self, bag: Tensor) -> Tensor:
        """The patches of one bag [N, d] after both attentions, [N, d]."""
        regions = Regions.of(len(bag), bag.device)
        for norm, attention in zip(self.norms, (self.within, self.across), strict=False):
            bag = bag + regions.join(attention(regions.divide(norm(bag))))
        embedded: Tensor = self.norms[2](bag)
        return embedded


def _heads(projected: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values by head, [b, heads, S, w] each, from [b, S, 3 * heads * w]."""
    query, key, value = projected.view(*projected.shape[:2], 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    return query, key, value


def _merged(heads: Tensor) -> Tensor:
    """Heads [b, heads, S, w] side by side, [b, S, heads * w]."""
    return heads.transpose(1, 2).flatten(2)
