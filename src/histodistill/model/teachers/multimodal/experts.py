"""Two experts: what the slide says is added to what the genes say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output, paired
from histodistill.model.building import build_genomic_teacher, build_student
from histodistill.model.pooling.parts import MaxParts, PooledParts
from histodistill.model.registries import MULTIMODAL_TEACHERS
from histodistill.model.shape import Shape
from histodistill.model.teachers.multimodal.base import MultimodalTeacher

# Independent evidence would count in full. Nearly all that a slide tells a whole transcriptome
# tells as well: on held-out parts of the training patients larger weights lost there.
SLIDE_WEIGHT = 0.1


@MULTIMODAL_TEACHERS.declare(
    "experts",
    text="the genomic network's logits plus a share, learnt in validation, of the student's",
    alone=False,
    fixed_width=False,
    composed=True,
    heads=True,
)
class Experts(MultimodalTeacher):
    """The genomic teacher's logits plus a share of the student's: a product of experts.

    Where teachers are trained first (``offline``), nothing is left to train: the experts are
    the finished genomic teacher and the finished student.

    Attributes:
        slide_weight: The share, float32 []. A tenth while networks are trained; afterwards what
            validation patients call for.
    """

    slide_weight: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.slide = build_student(shape)
        self.genomic = build_genomic_teacher(shape)
        self.register_buffer("slide_weight", torch.tensor(SLIDE_WEIGHT))

    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Both experts' features, side by side, and logits of the patients with both."""
        bags, genes = paired(bags, genes)
        slide: Output = self.slide(bags)
        genomic: Output = self.genomic(genes)
        features = torch.cat([slide.features, genomic.features], dim=1)
        return Output(features, genomic.logits + self.slide_weight * slide.logits, bags.rows)

    def parts(self, bags: Bags, genes: Genes) -> PooledParts | MaxParts | None:
        """See :meth:`MultimodalTeacher.parts`: those of the student, weighted; genes a constant."""
        slide: PooledParts | MaxParts | None = self.slide.parts(bags)
        if slide is None:
            return None
        own, genomic = slide.head, self.genomic(genes).logits
        return replace(slide, head=lambda pooled: genomic + self.slide_weight * own(pooled))

    def take(self, student: nn.Module, genomic: nn.Module) -> None:
        """Take over the weights of a finished student and a finished genomic teacher."""
        self.slide.load_state_dict(student.state_dict())
        self.genomic.load_state_dict(genomic.state_dict())

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Models of before the share was learnt have none."""
        state_dict.setdefault(f"{prefix}slide_weight", torch.tensor(SLIDE_WEIGHT))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
