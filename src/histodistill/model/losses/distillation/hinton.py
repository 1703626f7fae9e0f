"""KD: the student learns the teacher's softened probabilities."""

from __future__ import annotations

from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.objectives.collaboration import distillation
from histodistill.model.registries import DISTILLERS

TEMPERATURE = 4.0


@DISTILLERS.declare(
    "kd",
    text="KD, softened probabilities",
    source="Hinton 2015",
    in_words="divergence of the softened probabilities, T = 4",
    reads="logits",
    balance="none; 1",
)
class Hinton(Distiller):
    """``T^2 KL( softmax(teacher / T) || softmax(student / T) )``, a mean over patients.

    Source: Hinton, Vinyals & Dean, "Distilling the knowledge in a neural network", 2015,
    section 2.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        return distillation(student.logits, teacher.logits, TEMPERATURE)
