"""Ways to teach the student from a teacher, by name: one file each, built and called alike.

A distiller is built as ``Distiller(width, n_classes)``, ``width`` being the size of the
features of both networks, and called as ``distiller(student, teacher, labels)`` with the
outputs of the same n patients, row by row, the teacher's detached, and their labels [n]
(-1 where unknown). It answers a scalar loss. Its own weights, if any, are trained with the
student and thrown away afterwards.
"""

from __future__ import annotations

from torch import nn

from histodistill.model.distillation.hinton import Hinton
from histodistill.model.settings import DistillationName

DISTILLERS: dict[DistillationName, type[nn.Module]] = {
    "kd": Hinton,
}

__all__ = ["DISTILLERS", "Hinton"]
