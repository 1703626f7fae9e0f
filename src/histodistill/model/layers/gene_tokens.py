"""From genes to tokens, and from tokens to hidden tokens."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from histodistill.model.batch import Genes
from histodistill.model.layers.dropout import AlphaDropout
from histodistill.model.settings import NetworkSettings


def to_tokens(genes: NDArray[np.float32], token_size: int) -> Tensor:
    """Cut genes [n, K] into tokens [n, ceil(K / token_size), token_size].

    The last token is padded with zeros, which is the mean of a standardised gene.
    """
    patients, n_genes = genes.shape
    n_tokens = -(-n_genes // token_size)
    padded = np.zeros((patients, n_tokens * token_size), dtype=np.float32)
    padded[:, :n_genes] = genes
    return torch.from_numpy(padded.reshape(patients, n_tokens, token_size))


class TokenNetwork(nn.Module):
    """Linear, ELU, AlphaDropout on every token; each block of genes has its own weights.

    Args:
        blocks: Names of the blocks of genes.
        settings: Sizes.
    """

    def __init__(self, blocks: Iterable[str], settings: NetworkSettings) -> None:
        super().__init__()
        self.blocks = nn.ModuleDict(
            {name: nn.Linear(settings.token_size, settings.width) for name in blocks}
        )
        self.activation = nn.Sequential(nn.ELU(), AlphaDropout(settings.dropout))

    def forward(self, genes: Genes) -> Tensor:
        """Hidden tokens of all blocks, [n, sum of T, d]."""
        hidden = [project(genes.tokens[name]) for name, project in self.blocks.items()]
        activated: Tensor = self.activation(torch.cat(hidden, dim=1))
        return activated
