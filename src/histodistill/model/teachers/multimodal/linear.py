"""A linear multimodal teacher: logistic regression on the mean patch and all genes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.settings import NetworkSettings
from histodistill.model.students.linear import LinearStudent
from histodistill.model.teachers.genomic.linear import LinearGenomicTeacher


class LinearMultimodalTeacher(nn.Module):
    """The logits of a linear student and of a linear genomic teacher, added.

    Together they are one logistic regression on the mean patch and the genes of a patient,
    which are also the features.

    Args:
        feature_width: Size F of a patch feature.
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Dropout and the size of a token.
    """

    def __init__(
        self,
        feature_width: int,
        blocks: Mapping[str, int],
        n_classes: int,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        self.slide = LinearStudent(feature_width, n_classes, settings)
        self.genomic = LinearGenomicTeacher(blocks, n_classes, settings)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features [n, F + genes] and logits [n, C] of the patients with bags and genes."""
        bags, genes = paired(bags, genes)
        slide, genomic = self.slide(bags), self.genomic(genes)
        features = torch.cat([slide.features, genomic.features], dim=1)
        return Output(features, slide.logits + genomic.logits, bags.rows)
