"""What a network is built for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from histodistill.model.settings import NetworkSettings


@dataclass(frozen=True)
class Shape:
    """The sizes of what goes in and comes out, and the settings.

    Attributes:
        n_classes: Number C of classes, at least 2.
        settings: Sizes within, and dropout.
        feature_width: Size F of a patch feature; 0 where no slides are read.
        blocks: Tokens of each block of genes; empty where no genes are read.
    """

    n_classes: int
    settings: NetworkSettings
    feature_width: int = 0
    blocks: Mapping[str, int] = field(default_factory=dict)
