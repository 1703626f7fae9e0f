"""Self-normalising networks on genes (Klambauer et al., NeurIPS 2017): linear, ELU, alpha dropout.

A block of genes that a patient lacks reads as zeros, the mean of a standardised gene.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from histodistill.model.batch import Genes
from histodistill.model.layers.dropout import AlphaDropout
from histodistill.model.settings import NetworkSettings


class SelfNormalisingNetwork(nn.Module):
    """All genes of all blocks as one vector, through self-normalising layers.

    Args:
        blocks: Tokens of each block of genes.
        widths: Size of each layer, the last one that of the answer.
        settings: Size of a token and dropout.
    """

    def __init__(
        self, blocks: Mapping[str, int], widths: Sequence[int], settings: NetworkSettings
    ) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        sizes = (sum(blocks.values()) * settings.token_size, *widths)
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(wide, narrow), nn.ELU(), AlphaDropout(settings.dropout))
                for wide, narrow in pairwise(sizes)
            )
        )

    def forward(self, genes: Genes) -> Tensor:
        """Features of n patients, [n, last of widths]."""
        features: Tensor = self.layers(present_tokens(genes, self.blocks).flatten(1))
        return features


class TokenEncoders(nn.Module):
    """Two self-normalising layers for every token position, none shared between positions.

    Source: Chen et al., "Multimodal co-attention transformer", ICCV 2021, section 3.2, where
    a position is a set of genes of one biological function.

    Args:
        blocks: Tokens of each block of genes.
        hidden: Size of the first layer.
        settings: Sizes and dropout.
    """

    def __init__(self, blocks: Mapping[str, int], hidden: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.blocks = tuple(blocks)
        n_tokens = sum(blocks.values())
        self.layers = nn.Sequential(
            TokenLinear(n_tokens, settings.token_size, hidden),
            nn.ELU(),
            AlphaDropout(settings.dropout),
            TokenLinear(n_tokens, hidden, settings.width),
            nn.ELU(),
            AlphaDropout(settings.dropout),
        )

    def forward(self, genes: Genes) -> Tensor:
        """Hidden tokens of all blocks, [n, sum of T, d]."""
        hidden: Tensor = self.layers(present_tokens(genes, self.blocks))
        return hidden


class TokenLinear(nn.Module):
    """A linear layer for every token position, all computed as one batched product.

    It starts from PyTorch's default initialisation of ``nn.Linear``.

    Args:
        n_tokens: Number T of positions.
        in_features: Size of a token that comes in.
        out_features: Size of a token that goes out.
    """

    def __init__(self, n_tokens: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        weight = torch.empty(n_tokens, in_features, out_features).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.empty(n_tokens, out_features).uniform_(-bound, bound))

    def forward(self, tokens: Tensor) -> Tensor:
        """From tokens [n, T, in_features] to tokens [n, T, out_features]."""
        return torch.einsum("nti,tio->nto", tokens, self.weight) + self.bias


def present_tokens(genes: Genes, blocks: Sequence[str]) -> Tensor:
    """Tokens of all blocks, [n, sum of T, token_size]; zeros where a patient was not measured."""
    present = [
        genes.tokens[name].masked_fill(~genes.present[name][:, None, None], 0) for name in blocks
    ]
    return torch.cat(present, dim=1)
