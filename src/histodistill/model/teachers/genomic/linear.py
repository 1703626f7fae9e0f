"""A linear genomic teacher: logistic regression on all genes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.self_normalising import present_tokens
from histodistill.model.settings import NetworkSettings


class LinearGenomicTeacher(nn.Module):
    """One layer on all genes of all blocks, with dropout of its inputs.

    Genes of a block that a patient lacks are read as 0, the mean of a standardised gene. The
    features are the genes, divided by the root of their number, so that networks of any width
    learn at the same rate. Weights start from 0.

    Args:
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Dropout and the size of a token.
    """

    def __init__(
        self, blocks: Mapping[str, int], n_classes: int, settings: NetworkSettings
    ) -> None:
        super().__init__()
        layer = nn.Linear(sum(blocks.values()) * settings.token_size, n_classes)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.blocks = tuple(blocks)
        self.classifier = nn.Sequential(Dropout(settings.dropout), layer)

    def forward(self, genes: Genes) -> Output:
        """Features [n, genes] and logits [n, C] of n patients."""
        every = present_tokens(genes, self.blocks).flatten(1)
        features = every / math.sqrt(every.shape[1])
        return Output(features, self.classifier(features), genes.rows)
