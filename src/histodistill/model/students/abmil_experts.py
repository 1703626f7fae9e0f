"""ABMIL whose first layer is a mixture of low-rank experts (Shao et al., ICLR 2026)."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.errors import InputError
from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.layers.ends import classifier
from histodistill.model.layers.experts import LowRankExperts
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


@STUDENTS.declare(
    "abmil-experts",
    text="ABMIL, its first layer a mixture of low-rank experts",
    source="the idea of Shao 2026, ICLR (MAMMOTH)",
    differs="a patch is weighed by itself, without heads and slots that mix patches, so that maps "
    "stay exact; 8 experts (`student_options: {experts: 8}`) with as many weights as the layer of "
    "`abmil`",
    heads=True,
)
class ExpertsABMIL(MILStudent):
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

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = self.patches(bags.patches)
        features = pool_bags(self.attention(hidden), hidden, bags.sizes)
        return Output(features, self.classifier(features), bags.rows)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        hidden = self.patches(bags.patches)
        return attended_parts(self.attention(hidden), hidden, self.classifier)
