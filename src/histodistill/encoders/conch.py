"""CONCH v1.5's vision tower: a vision transformer read out by attention pooling.

Source: Lu et al., A visual-language foundation model for computational pathology, Nature
Medicine 2024; the v1.5 release with TITAN (Ding et al., arXiv:2411.19666).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

_HEADS = 8


class AttentionPooler(nn.Module):
    """One learnt query attends to all tokens.

    Args:
        width: Width of the query and of the output.
        token_width: Width of the tokens.
    """

    def __init__(self, width: int, token_width: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, width))
        self.ln_k = nn.LayerNorm(token_width)
        self.ln_q = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(token_width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens ``[b, n, token_width]`` to ``[b, width]``."""
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), 1, -1)
        key, value = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
        pooled = functional.scaled_dot_product_attention(
            _by_head(query), _by_head(key), _by_head(value)
        )
        joined: Tensor = self.to_out(pooled.transpose(1, 2).flatten(2))
        return joined[:, 0]


class ConchVision(nn.Module):
    """Trunk, attention pooler and final normalisation.

    Args:
        trunk: Vision transformer that returns all its tokens ``[b, n, token_width]``.
        width: Features a patch.
        token_width: Width of the trunk's tokens.
    """

    def __init__(self, trunk: nn.Module, width: int = 768, token_width: int = 1024) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = AttentionPooler(width, token_width)
        self.ln_contrast = nn.LayerNorm(width)

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[b, 3, H, W]`` to features ``[b, width]``."""
        features: Tensor = self.ln_contrast(self.attn_pool_contrast(self.trunk(images)))
        return features


def with_position_grid(state: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """The checkpoint with its position embedding resampled to ``side`` x ``side`` tokens.

    The released weights carry 14 x 14 positions and the release interpolates them at each call,
    adding 0.1 to the wanted side before it divides; the same is done here, once.
    """
    key = "trunk.pos_embed"
    position = state[key]
    old = math.isqrt(position.shape[1] - 1)
    if old == side:
        return dict(state)
    grid = position[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    scale = (side + 0.1) / old
    grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    resampled = torch.cat([position[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)
    return {**state, key: resampled}


def _by_head(tokens: Tensor) -> Tensor:
    """``[b, n, width]`` to ``[b, heads, n, width / heads]``."""
    return tokens.reshape(*tokens.shape[:2], _HEADS, -1).transpose(1, 2)
