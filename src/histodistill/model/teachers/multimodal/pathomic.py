"""Pathomic Fusion: small unimodal embeddings, gated, and their Kronecker product."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.fusion import KroneckerFusion
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.layers.self_normalising import SelfNormalisingNetwork
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.pooling.towers import Tower, pool_patches
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher


@MULTIMODAL_TEACHERS.declare(
    "pathomic",
    text="Pathomic Fusion, gated Kronecker fusion",
    source="Chen 2020, IEEE TMI",
    differs="ABMIL on the slide instead of a convolutional network on one region; unimodal "
    "networks are trained together with the fusion, not before it",
    heads=True,
)
class PathomicFusion(MultimodalTeacher):
    """Embeddings of ``fusion_width`` from ABMIL and from an SNN, gated bilinearly and multiplied.

    ABMIL takes the place of the paper's convolutional network on one region of interest, and
    the unimodal networks are trained together with the fusion instead of before it.

    Source: Chen et al., "Pathomic Fusion", IEEE TMI 2020, section II.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, small, dropout = settings.width, settings.fusion_width, settings.dropout
        self.patches = nn.Sequential(
            nn.Linear(shape.feature_width, width), nn.ReLU(), nn.Dropout(dropout)
        )
        self.attention = GatedAttention(width, settings.attention_width)
        self.slide = nn.Sequential(nn.Linear(width, small), nn.ReLU(), nn.Dropout(dropout))
        self.genes = SelfNormalisingNetwork(shape.blocks, (width, small), settings)
        self.fusion = KroneckerFusion(small, settings, skip_gated=True)
        self.classifier = nn.Linear(width, shape.n_classes)
        init_self_normalising(self)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        (pooled,) = pool_patches(bags, [Tower.of(self.patches, self.attention)])
        features = self.fusion(self.slide(pooled), self.genes(genes))
        return Output(features, self.classifier(features), bags.rows)

    def parts(self, bags: Bags, genes: Genes) -> PooledParts:
        """See :meth:`MultimodalTeacher.parts`."""
        hidden, omic = self.patches(bags.patches), self.genes(genes)

        def head(pooled: Tensor) -> Tensor:
            features = self.fusion(self.slide(pooled), omic.expand(len(pooled), -1))
            logits: Tensor = self.classifier(features)
            return logits

        return attended_parts(self.attention(hidden), hidden, head, linear=False)
