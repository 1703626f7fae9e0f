"""The two ends that slide-only networks share: into the hidden width, and out to the classes."""

from __future__ import annotations

from torch import nn

from histodistill.model.settings import NetworkSettings


def patch_embedding(feature_width: int, settings: NetworkSettings) -> nn.Sequential:
    """From patch features [P, F] to hidden patches [P, d]."""
    return nn.Sequential(nn.Linear(feature_width, settings.width), nn.ReLU())


def classifier(n_classes: int, settings: NetworkSettings) -> nn.Sequential:
    """From features [n, d] to logits [n, C]."""
    return nn.Sequential(nn.Dropout(settings.dropout), nn.Linear(settings.width, n_classes))
