"""MLKD: predictions aligned for each patient, across patients and across classes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softmax

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.losses.objectives.collaboration import distillation
from histodistill.model.registries import DISTILLERS

TEMPERATURES = (2.0, 3.0, 4.0, 5.0, 6.0)


@DISTILLERS.declare(
    "mlkd",
    text="multi-level logit distillation",
    source="Jin 2023, CVPR",
    in_words="differences of probabilities for each patient, between patients and between classes, "
    "summed over T = 2 to 6",
    reads="logits",
    balance="none; 1 each",
    differs="the class level is a mean over patients, not a sum: made for less than one sample a "
    "class, the sum would drown the rest with two classes",
)
class MultiLevelDistillation(Distiller):
    """Three levels of alignment of the probabilities P [n, C], summed over TEMPERATURES.

    - instance: ``T^2 KL( P_t || P_s )``, a mean over patients;
    - batch: ``1 / n || P_s P_s^T - P_t P_t^T ||_F^2``;
    - class: ``1 / C || P_s^T P_s / n - P_t^T P_t / n ||_F^2``.

    Source: Jin, Wang & Lin, "Multi-level logit distillation", CVPR 2023, section 3,
    the three levels with equal weights. Its second, strongly augmented view of a sample has
    no counterpart here, and the confidence masks of the released code are left out.

    Scale: the paper's class level is a sum over patients, ``P^T P`` without 1 / n. It was
    made for 64 samples of 100 classes, less than one sample a class; with two classes it
    grows as n^2 and would drown the other levels, so a mean over patients stands here.
    """

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:  # noqa: ARG002
        """The loss of n patients."""
        levels = [_levels(student.logits, teacher.logits, t) for t in TEMPERATURES]
        return torch.stack(levels).sum()


def _levels(learner: Tensor, target: Tensor, temperature: float) -> Tensor:
    n, n_classes = learner.shape
    instance = distillation(learner, target, temperature)
    s, t = softmax(learner / temperature, dim=1), softmax(target / temperature, dim=1)
    batch = (s @ s.T - t @ t.T).square().sum() / n
    classes = ((s.T @ s - t.T @ t) / n).square().sum() / n_classes
    return instance + batch + classes
