"""The terms of the loss, one file each, and their sum."""

from histodistill.model.losses.objectives.alignment import alignment
from histodistill.model.losses.objectives.collaboration import collaboration, distillation
from histodistill.model.losses.objectives.orthogonality import orthogonality
from histodistill.model.losses.objectives.similarity import similarity
from histodistill.model.losses.objectives.total import objective

__all__ = [
    "alignment",
    "collaboration",
    "distillation",
    "objective",
    "orthogonality",
    "similarity",
]
