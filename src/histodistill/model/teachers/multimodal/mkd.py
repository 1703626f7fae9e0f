"""The multimodal teacher: the slide and the genes of a patient, fused."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.layers.attention import GatedAttention, pool_tokens
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.fusion import build_fusion
from histodistill.model.layers.gene_tokens import TokenNetwork
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.pooling.towers import Tower, attend_patches, pool_patches
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher


@MULTIMODAL_TEACHERS.declare(
    "mkd",
    text="the multimodal teacher of MKD",
    source="Zhang 2025, MICCAI",
    differs="trained alone",
    recipe="multimodal",
    pooled_together=True,
    stackable=True,
    heads=True,
)
class MKDTeacher(MultimodalTeacher):
    """Attention-pooled patches and attention-pooled tokens, fused (T_M in the paper).

    It starts from PyTorch's default initialisation, as the paper's does.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = nn.Sequential(
            nn.Linear(shape.feature_width, settings.width), nn.ReLU(), Dropout(settings.dropout)
        )
        self.patch_attention = GatedAttention(settings.width, settings.attention_width)
        self.tokens = TokenNetwork(shape.blocks, settings)
        self.token_attention = GatedAttention(settings.width, settings.attention_width)
        self.fusion = build_fusion(settings)
        self.classifier = nn.Linear(settings.width, shape.n_classes)

    def tower(self) -> Tower:
        """What happens to a patch before the pooling, for a pass shared with other networks."""
        return Tower.of(self.patches, self.patch_attention)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        (path,) = pool_patches(bags, [self.tower()])
        return self.answer(path, bags, genes)

    def answer(self, path: Tensor, bags: Bags, genes: Genes) -> Output:
        """The same, where the bags have been pooled already, [n, d]."""
        omic = self.pooled_tokens(genes)
        with_genes = torch.isin(bags.rows, genes.rows)
        with_bag = torch.isin(genes.rows, bags.rows)
        return self.fused(path[with_genes], omic[with_bag], bags.rows[with_genes])

    def parts(self, bags: Bags, genes: Genes) -> PooledParts:
        """See :meth:`MultimodalTeacher.parts`."""
        (scores, hidden), omic = attend_patches(bags, self.tower()), self.pooled_tokens(genes)

        def head(path: Tensor) -> Tensor:
            logits: Tensor = self.classifier(self.fusion(path, omic.expand(len(path), -1)))
            return logits

        return attended_parts(scores, hidden, head, linear=False)

    def pooled_tokens(self, genes: Genes) -> Tensor:
        """Attention-pooled gene tokens, [n, d]."""
        tokens = self.tokens(genes)
        return pool_tokens(self.token_attention(tokens), tokens, genes.mask())

    def fused(self, path: Tensor, omic: Tensor, rows: Tensor) -> Output:
        """Features and logits of patients whose bags and tokens are pooled, [n, d] both."""
        features = self.fusion(path, omic)
        return Output(features, self.classifier(features), rows)
