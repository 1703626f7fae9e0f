"""DKD: how sure the teacher is, and how it sees the other classes, decoupled."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.distillation.target_class import (
    labelled,
    of_others,
    of_target,
    patient_mean,
)
from histodistill.model.registries import DISTILLERS

TEMPERATURE = 4.0
TARGET_WEIGHT = 1.0
OTHERS_WEIGHT = 8.0


@DISTILLERS.declare(
    "dkd",
    text="decoupled KD",
    source="Zhao 2022, CVPR",
    in_words="divergence of label against rest, and of the other classes among themselves, T = 4",
    reads="logits, labels",
    balance="none; 1 and 8",
    differs="no warm-up",
)
class DecoupledDistillation(Distiller):
    """``T^2 [ TARGET_WEIGHT KL(b_t || b_s) + OTHERS_WEIGHT KL(o_t || o_s) ]``, a patient mean.

    ``b`` is the probability of the patient's own class against all others, ``o`` the
    probabilities of the other classes among themselves, at temperature T. Patients without
    a label are left out.

    With two classes ``o`` is 1 for the only other class, its term is 0, and the loss is that
    of KD on the labelled patients.

    Source: Zhao et al., "Decoupled knowledge distillation", CVPR 2022, eq. 7; weights
    (alpha 1, beta 8) and T as in its CIFAR-100 configuration, without the warm-up.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """The loss of n patients."""
        learner, target, known = labelled(student, teacher, labels)
        learner, target = learner / TEMPERATURE, target / TEMPERATURE
        own = _divergence(_binary(learner, known), _binary(target, known))
        others = _divergence(
            log_softmax(of_others(learner, known), dim=1),
            log_softmax(of_others(target, known), dim=1),
        )
        losses = TARGET_WEIGHT * own + OTHERS_WEIGHT * others
        return TEMPERATURE**2 * patient_mean(losses)


def _binary(logits: Tensor, labels: Tensor) -> Tensor:
    """Log probabilities of the own class and of all others together, [m, 2]."""
    logs = log_softmax(logits, dim=1)
    others = of_others(logs, labels).logsumexp(dim=1, keepdim=True)
    return torch.cat([of_target(logs, labels), others], dim=1)


def _divergence(learner: Tensor, target: Tensor) -> Tensor:
    return kl_div(learner, target, reduction="none", log_target=True).sum(dim=1)
