"""VID: the student's features tell as much as they can of the teacher's."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

INITIAL_VARIANCE = 5.0
LEAST_VARIANCE = 1e-5
# The source trains by SGD with a learning rate of 0.05 to 0.1. A step of AdamW moves a parameter by
# about its learning rate, here 2e-4 by default: the variances would never leave their start.
PACE = 100.0


@DISTILLERS.declare(
    "vid",
    text="variational information distillation",
    source="Ahn 2019, CVPR",
    in_words="negative log likelihood of the teacher's features, Gaussian around a map of the "
    "student's, a mean over features",
    reads="features",
    balance="a map of three layers, a variance for each feature (5 at first); 1",
    differs="variances take steps a hundred times as large as the weights', since AdamW's of this "
    "engine are that much smaller than the source's",
    one_width=True,
)
class VariationalInformation(Distiller):
    """``1/2 mean_j [ (t_j - mu_j(s))^2 / v_j + log v_j ]``, a mean over patients.

    It is -log q(t | s), up to a constant and divided by the number of features, of a Gaussian
    with a learned mean ``mu``, three linear layers without bias and ReLU between, and a learned
    variance ``v = log(1 + exp(a)) + LEAST_VARIANCE`` for each feature, 5 at first; it can become
    negative.

    Source: Ahn et al., "Variational information distillation for knowledge transfer",
    CVPR 2019, section 2; layers, variance and the mean over features as in the authors' code,
    which the benchmark of CRD (Tian et al. 2020) has as well, there with a weight of 1.

    The parameter holds ``a / PACE``, so that the variances move as the source's do.
    """

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__(width, n_classes)
        self.mean = nn.Sequential(
            *(nn.Linear(width, width, bias=False), nn.ReLU()),
            *(nn.Linear(width, width, bias=False), nn.ReLU()),
            nn.Linear(width, width, bias=False),
        )
        raw = math.log(math.expm1(INITIAL_VARIANCE - LEAST_VARIANCE))
        self.paced_variance = nn.Parameter(torch.full((width,), raw / PACE))

    @property
    def variance(self) -> Tensor:
        """The variance v of each feature, [d]."""
        return softplus(PACE * self.paced_variance) + LEAST_VARIANCE

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        missed: Tensor = (teacher.features - self.mean(student.features)).square()
        variance = self.variance
        return (missed / variance + variance.log()).mean() / 2
