"""Small students in float64, and the bags that they are asked about."""

from __future__ import annotations

import torch
from torch import nn

from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from tests.model.batches import SMALL, WIDTH

NAMES: tuple[str, ...] = (
    "abmil-plain",
    "abmil-experts",
    "mean",
    "max",
    "clam-sb",
    "clam-mb",
    "dsmil",
    "transmil",
    "dtfd-maxs",
    "dtfd-maxmins",
    "dtfd-mas",
    "dtfd-afs",
    "wikg",
    "rrt",
)
#: One patch, and enough for several regions and for landmarks.
SIZES = {0: 5, 1: 1, 2: 17, 3: 2, 4: 70}


def student(name: str, n_classes: int = 2, seed: int = 0) -> nn.Module:
    """A student without dropout, in eval mode."""
    torch.manual_seed(seed)
    return STUDENTS.load(name)(Shape(n_classes, SMALL, WIDTH)).double().eval()
