"""ABMIL without the gate (Ilse et al., "Attention-based Deep MIL", ICML 2018, eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.attended import AttendedStudent


class Attention(nn.Module):
    """Scores instances by ``w . tanh(V h)``.

    Args:
        width: Size d of an instance.
        attention_width: Rows of V.
    """

    def __init__(self, width: int, attention_width: int) -> None:
        super().__init__()
        self.content = nn.Linear(width, attention_width)
        self.score = nn.Linear(attention_width, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Unnormalised scores of instances [..., d], shape [...]."""
        scores: Tensor = self.score(torch.tanh(self.content(hidden)))
        return scores.squeeze(-1)


@STUDENTS.declare(
    "abmil-plain",
    text="ABMIL, attention without the gate",
    source="Ilse 2018, ICML",
    differs="as `abmil`",
    heads=True,
)
class PlainABMIL(AttendedStudent):
    """Attention pooling of the hidden patches. The order of the patches does not count."""

    attention: Attention

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = patch_embedding(shape.feature_width, settings)
        self.attention = Attention(settings.width, settings.attention_width)
        self.classifier = classifier(shape.n_classes, settings)
        init_self_normalising(self)
