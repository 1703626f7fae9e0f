"""The terms of the loss, one file each, and their sum."""

from histodistill.model.objectives.alignment import alignment
from histodistill.model.objectives.collaboration import collaboration, distillation
from histodistill.model.objectives.orthogonality import orthogonality
from histodistill.model.objectives.similarity import similarity
from histodistill.model.objectives.total import objective

__all__ = [
    "alignment",
    "collaboration",
    "distillation",
    "objective",
    "orthogonality",
    "similarity",
]
