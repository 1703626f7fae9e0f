"""CC: the student keeps the correlations between patients, to higher orders."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

GAMMA = 0.4
ORDER = 2
WEIGHT = 100.0


@DISTILLERS.declare(
    "cc",
    text="correlation congruence",
    source="Peng 2019, ICCV",
    in_words="mean squared difference of a Gaussian kernel (series to order 2, gamma 0.4) between "
    "patients",
    reads="features",
    balance="none; 100",
    differs="the factor is chosen by scale, to bring the usual difference of kernels to the order"
    " of the cross-entropy; the factor in use elsewhere (0.02) belongs to another formula",
)
class CorrelationCongruence(Distiller):
    """``WEIGHT mean_ij ( k(s_i, s_j) - k(t_i, t_j) )^2``, k a Gaussian kernel.

    ``k(x, y) = exp(-2 gamma) sum_{p <= ORDER} (2 gamma <x, y>)^p / p!`` is the Taylor series
    of ``exp(-gamma |x - y|^2)`` for x and y of unit length; the loss does not depend on the
    rotation of the features or on the length of any of them.

    Source: Peng et al., "Correlation congruence for knowledge distillation", ICCV 2019,
    section 3, gamma 0.4 and order 2. The paper's learned map to a common width is left out:
    the two networks have the same.

    Weight: by scale. With features that are not negative the kernel lies between 0.45 and
    0.95, so that a typical difference of 0.1 makes the mean 0.01; the factor 100 brings the
    loss to the order of the cross-entropy. The factors in use (0.02 in the benchmark of
    CRD, Tian et al. 2020) belong to another formula, on features that are not normalised,
    and would switch this one off.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        difference = _kernel(student.features) - _kernel(teacher.features)
        return WEIGHT * difference.square().mean()


def _kernel(features: Tensor) -> Tensor:
    unit = normalize(features, dim=1)
    cosine = 2 * GAMMA * (unit @ unit.T)
    series = torch.stack([cosine**p / math.factorial(p) for p in range(ORDER + 1)])
    return math.exp(-2 * GAMMA) * series.sum(dim=0)
