"""PKT: the student keeps the probabilities that patients are neighbours."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

WEIGHT = 30_000 / 64
# Opposite features would have a probability of 0.
LEAST_KERNEL = 1e-6


@DISTILLERS.declare(
    "pkt",
    text="probabilistic knowledge transfer",
    source="Passalis 2018, ECCV",
    in_words="divergence of the probabilities that patients are neighbours, a mean over patients",
    reads="features",
    balance="none; 30,000 / 64",
    differs="as `sp`",
)
class ProbabilisticTransfer(Distiller):
    """``WEIGHT mean_i sum_j p^t_ij log( p^t_ij / p^s_ij )``, ``p_ij = K_ij / sum_k K_ik``.

    K is the cosine of two patients' features, moved to 0 to 1: ``(cos + 1) / 2``; the loss
    does not depend on the rotation of the features or on the length of any of them.

    Source: Passalis & Tefas, "Learning deep representations with probabilistic knowledge
    transfer", ECCV 2018, section 3. A patient is its own neighbour too, as in the authors' code.

    Weight: the benchmark of CRD (Tian et al. 2020, released scripts) gives 30,000 to the mean
    over 64^2 pairs, which is 30,000 / 64 for each patient, whatever the batch size. It is so
    large because the probabilities are nearly uniform.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        learner, target = _neighbours(student.features), _neighbours(teacher.features)
        return WEIGHT * (target * (target / learner).log()).sum(dim=1).mean()


def _neighbours(features: Tensor) -> Tensor:
    unit = normalize(features, dim=1)
    kernel = (unit @ unit.T + 1) / 2 + LEAST_KERNEL
    return kernel / kernel.sum(dim=1, keepdim=True)
