"""DIST: the student's probabilities correlate with the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softmax

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

TEMPERATURE = 1.0
INTER_WEIGHT = 2.0
INTRA_WEIGHT = 2.0
# Probabilities that vary by less are constant: their correlation would be rounding error.
LEAST_SPREAD = 1e-3


@DISTILLERS.declare(
    "dist",
    text="DIST, correlation with a stronger teacher",
    source="Huang 2022, NeurIPS",
    in_words="1 - Pearson's correlation of probabilities, over classes and over patients",
    reads="logits",
    balance="none; 2 and 2",
)
class StrongerTeacher(Distiller):
    """``T^2 [ INTER_WEIGHT (1 - mean_i r_i) + INTRA_WEIGHT (1 - mean_c r_c) ]``.

    ``r_i`` is Pearson's correlation between student and teacher of patient i's probabilities
    over the classes, ``r_c`` that of class c's probabilities over the patients.

    With two classes ``r_i`` is 1 or -1, whether the two networks prefer the same class: it
    has no gradient, and ``r_c``, the same for both classes, does all the teaching. Likewise
    ``r_c`` is 1 or -1 with two patients.

    Source: Huang et al., "Knowledge distillation from a stronger teacher", NeurIPS 2022,
    section 4; weights (beta 2, gamma 2) of its experiments, T the default of the authors'
    code. A correlation hardly shrinks as T grows: the factor T^2 of a higher T would make
    the loss that much larger than the cross-entropy.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        learner = softmax(student.logits / TEMPERATURE, dim=1)
        target = softmax(teacher.logits / TEMPERATURE, dim=1)
        inter = 1 - _correlation(learner, target).mean()
        intra = 1 - _correlation(learner.T, target.T).mean()
        return TEMPERATURE**2 * (INTER_WEIGHT * inter + INTRA_WEIGHT * intra)


def _correlation(first: Tensor, second: Tensor) -> Tensor:
    """Pearson's correlation of each row."""
    return (_standardised(first) * _standardised(second)).sum(dim=1)


def _standardised(rows: Tensor) -> Tensor:
    centred = rows - rows.mean(dim=1, keepdim=True)
    spread: Tensor = torch.linalg.vector_norm(centred, dim=1, keepdim=True)
    return centred / spread.clamp(min=LEAST_SPREAD)
