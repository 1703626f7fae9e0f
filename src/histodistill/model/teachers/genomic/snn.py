"""The self-normalising network: all genes as one vector."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.settings import NetworkSettings


class SNN(nn.Module):
    """Two self-normalising layers on all genes of all blocks.

    Source: Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, in the form that
    MCAT (ICCV 2021) and PORPOISE (Cancer Cell 2022) give to their genes.

    Args:
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Sizes and dropout.
    """

    def __init__(
        self, blocks: Mapping[str, int], n_classes: int, settings: NetworkSettings
    ) -> None:
        super().__init__()
        self.genes = SelfNormalisingNetwork(blocks, (settings.width, settings.width), settings)
        self.classifier = nn.Linear(settings.width, n_classes)
        init_self_normalising(self)

    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients."""
        features = self.genes(genes)
        return Output(features, self.classifier(features), genes.rows)
