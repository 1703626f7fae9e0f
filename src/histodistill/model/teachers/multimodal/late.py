"""Late fusion: a slide network and a genomic network vote."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.building import build_genomic_teacher, build_student
from histodistill.model.pooling.parts import PooledParts
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher


@MULTIMODAL_TEACHERS.declare(
    "late",
    text="late fusion: the mean of a slide network's and a gene network's log-probabilities",
    differs="this library's baseline; both are trained together",
)
class LateFusion(MultimodalTeacher):
    """The mean of the log-probabilities of two networks that are trained together.

    The softmax of the logits is the normalised geometric mean of both networks' probabilities;
    the features are the mean of both networks' features. The two networks are those that the
    settings name for slides alone and for genes alone.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.slide = build_student(shape)
        self.genomic = build_genomic_teacher(shape)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features and logits of the patients of the batch that have bags and genes."""
        bags, genes = paired(bags, genes)
        both: tuple[Output, Output] = (self.slide(bags), self.genomic(genes))
        votes = [torch.log_softmax(output.logits, dim=1) for output in both]
        features = [output.features for output in both]
        return Output(torch.stack(features).mean(0), torch.stack(votes).mean(0), bags.rows)

    def parts(self, bags: Bags, genes: Genes) -> PooledParts | None:
        """See :meth:`MultimodalTeacher.parts`."""
        slide = self.slide.parts(bags)
        if not isinstance(slide, PooledParts):
            return None
        genomic = torch.log_softmax(self.genomic(genes).logits, dim=1)

        def head(pooled: Tensor) -> Tensor:
            return (torch.log_softmax(slide.head(pooled), dim=1) + genomic) / 2

        return replace(slide, head=head, linear=False)
