"""A branch for every block of genes (mRNA, copy number), joined by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.model.batch import Genes, Output
from histodistill.model.layers.attention import GatedAttention, pool_tokens
from histodistill.model.layers.gene_tokens import TokenNetwork
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.registries import GENOMIC_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.genomic.base import GenomicTeacher


@GENOMIC_TEACHERS.declare(
    "branches",
    text="a branch a block of genes, joined by attention",
    source="after GMKDN; Zhang, IEEE TMI",
    alone=False,
    heads=True,
)
class BranchedTeacher(GenomicTeacher):
    """Each block has its own token network and its own gated attention.

    The features of the branches are joined by a gated attention over the blocks that the
    patient has, so that the branch of a missing block has no say and gets no gradient.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        width, attention_width = settings.width, settings.attention_width
        self.tokens = TokenNetwork(shape.blocks, settings)
        self.branches = nn.ModuleDict(
            {n: GatedAttention(width, attention_width) for n in shape.blocks}
        )
        self.attention = GatedAttention(width, attention_width)
        self.classifier = nn.Sequential(
            nn.Dropout(settings.dropout), nn.Linear(width, shape.n_classes)
        )
        init_self_normalising(self)

    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients."""
        branches = self._pooled(genes)
        present = torch.stack([genes.present[name] for name in self.branches], dim=1)
        features = pool_tokens(self.attention(branches), branches, present)
        return Output(features, self.classifier(features), genes.rows)

    def _pooled(self, genes: Genes) -> Tensor:
        """The feature of each branch, [n, blocks, d]; of no meaning where a block is missing."""
        sizes = [genes.tokens[name].shape[1] for name in self.branches]
        pooled = []
        for attention, hidden in zip(
            self.branches.values(), self.tokens(genes).split(sizes, dim=1), strict=True
        ):
            every = torch.ones(hidden.shape[:2], dtype=torch.bool, device=hidden.device)
            pooled.append(pool_tokens(attention(hidden), hidden, every))
        return torch.stack(pooled, dim=1)
