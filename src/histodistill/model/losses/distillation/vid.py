"""VID: the student's features tell as much as they can of the teacher's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

INITIAL_VARIANCE = 1.0
LEAST_VARIANCE = 1e-5


@DISTILLERS.declare(
    "vid",
    text="variational information distillation",
    source="Ahn 2019, CVPR",
    in_words="negative log likelihood of the teacher's features, Gaussian around a linear map of "
    "the student's",
    reads="features",
    balance="linear map, a variance for each feature; 1",
    one_width=True,
)
class VariationalInformation(Distiller):
    """``1/2 sum_j [ (t_j - mu_j(s))^2 / v_j + log v_j ]``, a mean over patients.

    It is -log q(t | s), up to a constant, of a Gaussian with a learned linear mean ``mu`` and
    a learned variance ``v = softplus(a) + LEAST_VARIANCE`` for each feature; it can become
    negative.

    Source: Ahn et al., "Variational information distillation for knowledge transfer",
    CVPR 2019, section 2.

    Weight: the paper's sum over features as it is. The variance starts at 1, not at 5 as in
    the authors' code: features before the classifier vary by less than 1, and AdamW with
    this project's learning rate moves ``a`` by less than 1 in a whole training.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.mean = nn.Linear(width, width)
        raw = math.log(math.expm1(INITIAL_VARIANCE - LEAST_VARIANCE))
        self.raw_variance = nn.Parameter(torch.full((width,), raw))

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        variance = softplus(self.raw_variance) + LEAST_VARIANCE
        missed: Tensor = (teacher.features - self.mean(student.features)).square()
        return (missed / variance + variance.log()).sum(dim=1).mean() / 2
