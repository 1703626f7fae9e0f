"""The genomic teacher: attention over gene tokens."""

from __future__ import annotations

from torch import nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.attention import GatedAttention, pool_tokens
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.gene_tokens import TokenNetwork
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.registries import GENOMIC_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.genomic.base import GenomicTeacher


@GENOMIC_TEACHERS.declare(
    "tokens",
    text="the genomic teacher of MKD, attention over tokens of genes",
    source="Zhang 2025, MICCAI",
    differs="trained alone, stopped by its own loss",
    recipe="genomic",
    stackable=True,
    heads=True,
)
class TokenTeacher(GenomicTeacher):
    """Gated-attention pooling of gene tokens (T_G in the paper)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.tokens = TokenNetwork(shape.blocks, settings)
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = nn.Sequential(
            Dropout(settings.dropout), nn.Linear(settings.width, shape.n_classes)
        )
        init_self_normalising(self)

    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients."""
        hidden = self.tokens(genes)
        features = pool_tokens(self.attention(hidden), hidden, genes.mask())
        return Output(features, self.classifier(features), genes.rows)
