"""KD: the student learns the teacher's softened probabilities."""

from __future__ import annotations

from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.objectives.collaboration import distillation

TEMPERATURE = 4.0


class Hinton(Distiller):
    """``T^2 KL( softmax(teacher / T) || softmax(student / T) )``, a mean over patients.

    Source: Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015,
    section 2.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        return distillation(student.logits, teacher.logits, TEMPERATURE)
