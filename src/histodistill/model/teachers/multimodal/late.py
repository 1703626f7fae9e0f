"""Late fusion: a slide network and a genomic network vote."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.settings import NetworkSettings
from histodistill.model.students import build_student
from histodistill.model.teachers.genomic import build_genomic_teacher


class LateFusion(nn.Module):
    """The mean of the log-probabilities of two networks that are trained together.

    The softmax of the logits is the normalised geometric mean of both networks' probabilities;
    the features are the mean of both networks' features. The two networks are those that the
    settings name for slides alone and for genes alone.

    Args:
        feature_width: Size F of a patch feature.
        blocks: Tokens of each block of genes.
        n_classes: Number C of classes.
        settings: Architectures and sizes.
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
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        both: tuple[Output, Output] = (self.slide(bags), self.genomic(genes))
        votes = [torch.log_softmax(output.logits, dim=1) for output in both]
        features = [output.features for output in both]
        return Output(torch.stack(features).mean(0), torch.stack(votes).mean(0), bags.rows)
