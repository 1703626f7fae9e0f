"""ABMIL without the gate (Ilse et al., "Attention-based Deep MIL", ICML 2018, eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.attention import pool_bags
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.settings import NetworkSettings


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


class PlainABMIL(nn.Module):
    """Attention pooling of the hidden patches. The order of the patches does not count.

    Args:
        feature_width: Size F of a patch feature.
        n_classes: Number C of classes.
        settings: Sizes.
    """

    def __init__(self, feature_width: int, n_classes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.patches = patch_embedding(feature_width, settings)
        self.attention = Attention(settings.width, settings.attention_width)
        self.classifier = classifier(n_classes, settings)
        init_self_normalising(self)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = self.patches(bags.patches)
        features = pool_bags(self.attention(hidden), hidden, bags.sizes)
        return Output(features, self.classifier(features), bags.rows)
