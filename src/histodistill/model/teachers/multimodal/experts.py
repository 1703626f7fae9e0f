"""Two experts: what the slide says is added to what the genes say."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.settings import NetworkSettings
from histodistill.model.students import build_student
from histodistill.model.teachers.genomic import build_genomic_teacher

# Independent evidence would count in full. Nearly all that a slide tells the genes tell as well:
# on held-out parts of the training patients larger weights lost.
SLIDE_WEIGHT = 0.1


class Experts(nn.Module):
    """The genomic teacher's logits plus a share of the student's: a product of experts.

    Where teachers are trained first (``offline``), nothing is left to train: the experts are
    the finished genomic teacher and the finished student.

    Args:
        feature_width: Size F of a patch feature.
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Architectures of both experts, and sizes.
    """

    def __init__(
        self,
        feature_width: int,
        blocks: Mapping[str, int],
        n_classes: int,
        settings: NetworkSettings,
    ) -> None:
        super().__init__()
        self.slide = build_student(feature_width, n_classes, settings)
        self.genomic = build_genomic_teacher(blocks, n_classes, settings)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Both experts' features, side by side, and logits of the patients with both."""
        bags, genes = paired(bags, genes)
        slide: Output = self.slide(bags)
        genomic: Output = self.genomic(genes)
        features = torch.cat([slide.features, genomic.features], dim=1)
        return Output(features, genomic.logits + SLIDE_WEIGHT * slide.logits, bags.rows)

    def take(self, student: nn.Module, genomic: nn.Module) -> None:
        """Take over the weights of a finished student and a finished genomic teacher."""
        self.slide.load_state_dict(student.state_dict())
        self.genomic.load_state_dict(genomic.state_dict())
