"""A linear layer that is a mixture of low-rank ones, each for another kind of patch."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LowRankExperts(nn.Module):
    """``b + sum_e softmax(R x)_e B_e A_e x``, with as many weights as the layer that it replaces.

    Each patch is weighed by itself, so that a bag is still the sum of what its patches are.

    Source: the idea of Shao et al., "Mixture of Mini Experts", ICLR 2026, whose experts read
    slots, which are means of many patches.

    Args:
        feature_width: Size F of an input.
        width: Size d of an output.
        experts: Their number.

    Attributes:
        rank: Of each expert, so that all have about F d weights together.
    """

    def __init__(self, feature_width: int, width: int, experts: int) -> None:
        super().__init__()
        self.experts = experts
        self.rank = max(1, round(feature_width * width / (experts * (feature_width + width))))
        self.router = nn.Linear(feature_width, experts)
        self.down = nn.Linear(feature_width, experts * self.rank, bias=False)
        self.up = nn.Linear(experts * self.rank, width)

    def initialise(self) -> None:
        """Draw the weights such that each expert alone keeps the variance of its input."""
        for layer, inputs in (
            (self.router, self.router.in_features),
            (self.down, self.down.in_features),
            (self.up, self.rank),
        ):
            nn.init.normal_(layer.weight, std=inputs**-0.5)
        nn.init.zeros_(self.router.bias)
        nn.init.zeros_(self.up.bias)

    def forward(self, patches: Tensor) -> Tensor:
        """Hidden values [..., d] of patches [..., F]."""
        weights = torch.softmax(self.router(patches), dim=-1)
        inner = self.down(patches).unflatten(-1, (self.experts, self.rank))
        hidden: Tensor = self.up((inner * weights.to(inner.dtype)[..., None]).flatten(-2))
        return hidden
