"""The student: a slide-only network, ABMIL."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.layers.dropout import Dropout
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.pooling.towers import Tower, pool_patches
from histodistill.model.settings import NetworkSettings


class Student(nn.Module):
    """Gated-attention MIL on the patches of a patient (S_P in the paper).

    Args:
        feature_width: Size F of a patch feature.
        n_classes: Number C of classes.
        settings: Sizes.
    """

    def __init__(self, feature_width: int, n_classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Linear(feature_width, settings.width), nn.ReLU())
        self.attention = GatedAttention(settings.width, settings.attention_width)
        self.classifier = nn.Sequential(
            Dropout(settings.dropout), nn.Linear(settings.width, n_classes)
        )
        init_self_normalising(self)

    def attend(self, bags: Bags) -> tuple[Tensor, Tensor]:
        """Hidden patches [P, d] and their unnormalised attention scores [P]."""
        hidden: Tensor = self.patches(bags.patches)
        return hidden, self.attention(hidden)

    def tower(self) -> Tower:
        """What happens to a patch before the pooling, for a pass shared with other networks."""
        return Tower.of(self.patches, self.attention)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        (pooled,) = pool_patches(bags, [self.tower()])
        return self.answer(pooled, bags.rows)

    def answer(self, pooled: Tensor, rows: Tensor) -> Output:
        """Features and logits of bags that have been pooled already, [n, d]."""
        return Output(pooled, self.classifier(pooled), rows)
