"""The student: a slide-only network, ABMIL."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.pooling.parts import PooledParts, attended_parts
from histodistill.model.pooling.towers import Tower, attend_patches, pool_patches
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


@STUDENTS.declare(
    "abmil",
    text="ABMIL, gated attention",
    source="Ilse 2018, ICML",
    differs="the student of MKD: one hidden layer, then the attention",
    pooled_together=True,
    stackable=True,
    heads=True,
)
class ABMIL(MILStudent):
    """Gated-attention MIL on the patches of a patient (S_P in the paper)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = nn.Sequential(nn.Linear(shape.feature_width, settings.width), nn.ReLU())
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = nn.Sequential(
            Dropout(settings.dropout), nn.Linear(settings.width, shape.n_classes)
        )
        init_self_normalising(self)

    def tower(self) -> Tower:
        """What happens to a patch before the pooling, for a pass shared with other networks."""
        return Tower.of(self.patches, self.attention)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        (pooled,) = pool_patches(bags, [self.tower()])
        return self.answer(pooled, bags.rows)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        scores, hidden = attend_patches(bags, self.tower())
        return attended_parts(scores, hidden, self.classifier)

    def answer(self, pooled: Tensor, rows: Tensor) -> Output:
        """Features and logits of bags that have been pooled already, [n, d]."""
        return Output(pooled, self.classifier(pooled), rows)
