"""PORPOISE: attention on the patches, a self-normalising network on the genes, both fused."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.layers.fusion import ConcatGate, KroneckerFusion
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher

INPUT_DROPOUT = 0.1


@MULTIMODAL_TEACHERS.declare(
    "porpoise",
    text="PORPOISE, attention pooling and Kronecker fusion",
    source="Chen 2022, Cancer Cell",
    differs="dropout in the layers of the Kronecker product, as in Pathomic Fusion",
    heads=True,
)
class Porpoise(MultimodalTeacher):
    """AMIL and SNN, joined by the gated Kronecker product.

    The patches have hidden features of twice the width; a gate is linear in both modalities.
    The Kronecker product's layers have dropout, as in Pathomic Fusion. Patch features are
    dropped out too, with probability 0.1, or ``dropout`` where that is less.

    Source: Chen et al., "Pan-cancer integrative histology-genomic analysis via multimodal deep
    learning", Cancer Cell 2022, STAR Methods.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, dropout = settings.width, settings.dropout
        self.patches = nn.Sequential(
            nn.Dropout(min(INPUT_DROPOUT, dropout)),
            nn.Linear(shape.feature_width, 2 * width),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.attention = GatedAttention(2 * width, settings.attention_width)
        self.slide = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout))
        self.genes = SelfNormalisingNetwork(shape.blocks, (width, width), settings)
        self.fusion = KroneckerFusion(width, settings, ConcatGate)
        self.classifier = nn.Linear(width, shape.n_classes)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        hidden: Tensor = self.patches(bags.patches)
        path = self.slide(pool_bags(self.attention(hidden), hidden, bags.sizes))
        features = self.fusion(path, self.genes(genes))
        return Output(features, self.classifier(features), bags.rows)

    def parts(self, bags: Bags, genes: Genes) -> PooledParts:
        """See :meth:`MultimodalTeacher.parts`."""
        hidden, omic = self.patches(bags.patches), self.genes(genes)

        def head(pooled: Tensor) -> Tensor:
            features = self.fusion(self.slide(pooled), omic.expand(len(pooled), -1))
            logits: Tensor = self.classifier(features)
            return logits

        return attended_parts(self.attention(hidden), hidden, head, linear=False)
