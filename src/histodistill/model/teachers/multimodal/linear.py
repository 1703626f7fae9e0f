"""A linear multimodal teacher: logistic regression on the mean patch and all genes."""

from __future__ import annotations

from dataclasses import replace

import torch

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.pooling.parts import PooledParts
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.students.linear import LinearStudent
from histodistill.model.teachers.genomic.linear import LinearGenomicTeacher
from histodistill.model.teachers.multimodal.base import MultimodalTeacher


@MULTIMODAL_TEACHERS.declare(
    "linear",
    text="logistic regression on the mean patch and all genes, trained like the networks",
    differs="this library's",
    recipe="linear-multimodal",
    fixed_width=False,
    heads=True,
)
class LinearMultimodalTeacher(MultimodalTeacher):
    """The logits of a linear student and of a linear genomic teacher, added.

    Together they are one logistic regression on the mean patch and the genes of a patient,
    which are also the features.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.slide = LinearStudent(shape)
        self.genomic = LinearGenomicTeacher(shape)

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features [n, F + genes] and logits [n, C] of the patients with bags and genes."""
        bags, genes = paired(bags, genes)
        slide, genomic = self.slide(bags), self.genomic(genes)
        features = torch.cat([slide.features, genomic.features], dim=1)
        return Output(features, slide.logits + genomic.logits, bags.rows)

    def parts(self, bags: Bags, genes: Genes) -> PooledParts:
        """See :meth:`MultimodalTeacher.parts`: those of the student; genes are a constant."""
        slide, genomic = self.slide.parts(bags), self.genomic(genes).logits
        return replace(slide, head=lambda pooled: genomic + slide.head(pooled))
