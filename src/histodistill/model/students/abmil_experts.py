"""ABMIL whose first layer is a mixture of low-rank experts (Shao et al., ICLR 2026)."""

from __future__ import annotations

from torch import nn

from histodistill.errors import InputError
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.ends import classifier
from histodistill.model.layers.experts import LowRankExperts
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.attended import AttendedStudent


@STUDENTS.declare(
    "abmil-experts",
    text="ABMIL, its first layer a mixture of low-rank experts",
    source="the idea of Shao 2026, ICLR (MAMMOTH)",
    differs="a patch is weighed by itself, without heads and slots that mix patches, so that maps "
    "stay exact; 8 experts (`student_options: {experts: 8}`) with as many weights as the layer of "
    "`abmil`",
    heads=True,
)
class ExpertsABMIL(AttendedStudent):
    """Gated attention pooling of patches that a mixture of experts has read."""

    def __init__(self, shape: Shape, experts: int = 8) -> None:
        super().__init__()
        if type(experts) is not int or experts < 1:
            raise InputError(f"student_options: experts is {experts!r}; give a number from 1 on")
        settings = shape.settings
        mixture = LowRankExperts(shape.feature_width, settings.width, experts)
        self.patches = nn.Sequential(mixture, nn.ReLU())
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = classifier(shape.n_classes, settings)
        init_self_normalising(self)
        mixture.initialise()
