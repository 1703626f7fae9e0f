"""The genomic teacher: attention over gene tokens."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.attention import GatedAttention, pool_tokens
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.gene_tokens import TokenNetwork
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.settings import NetworkSettings


class GenomicTeacher(nn.Module):
    """Gated-attention pooling of gene tokens (T_G in the paper).

    Args:
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Sizes.
    """

    def __init__(
        self, blocks: Mapping[str, int], n_classes: int, settings: NetworkSettings
    ) -> None:
        super().__init__()
        self.tokens = TokenNetwork(blocks, settings)
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = nn.Sequential(
            Dropout(settings.dropout), nn.Linear(settings.width, n_classes)
        )
        init_self_normalising(self)

    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients."""
        hidden = self.tokens(genes)
        features = pool_tokens(self.attention(hidden), hidden, genes.mask())
        return Output(features, self.classifier(features), genes.rows)
