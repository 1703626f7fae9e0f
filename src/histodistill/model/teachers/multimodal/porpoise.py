"""PORPOISE: attention on the patches, a self-normalising network on the genes, both fused."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.layers.fusion import ConcatGate, KroneckerFusion
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.settings import NetworkSettings

INPUT_DROPOUT = 0.1


class Porpoise(nn.Module):
    """AMIL and SNN, joined by the gated Kronecker product.

    The patches have hidden features of twice the width; a gate is linear in both modalities.
    The Kronecker product's layers have dropout, as in Pathomic Fusion. Patch features are
    dropped out too, with probability 0.1, or ``dropout`` where that is less.

    Source: Chen et al., "Pan-cancer integrative histology-genomic analysis via multimodal deep
    learning", Cancer Cell 2022, STAR Methods.

    Args:
        feature_width: Size F of a patch feature.
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Sizes and dropout.
    """

    def __init__(
        self,
        feature_width: int,
        blocks: Mapping[str, int],
        n_classes: int,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.patches = nn.Sequential(
            nn.Dropout(min(INPUT_DROPOUT, dropout)),
            nn.Linear(feature_width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.attention = GatedAttention(2 * width, settings.attention_width)
        self.slide = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout))
        self.genes = SelfNormalisingNetwork(blocks, (width, width), settings)
        self.fusion = KroneckerFusion(width, settings, ConcatGate)
        self.classifier = nn.Linear(width, n_classes)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        hidden: Tensor = self.patches(bags.patches)
        path = self.slide(pool_bags(self.attention(hidden), hidden, bags.sizes))
        features = self.fusion(path, self.genes(genes))
        return Output(features, self.classifier(features), bags.rows)
