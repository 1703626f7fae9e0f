"""Logits split into the class of the label and the other classes."""

from __future__ import annotations

import torch
from torch import Tensor

from histodistill.model.batch import Output


def labelled(student: Output, teacher: Output, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of both networks [m, C] and labels [m] of the m patients whose label is known."""
    known = labels >= 0
    return student.logits[known], teacher.logits[known], labels[known]


def of_target(values: Tensor, labels: Tensor) -> Tensor:
    """The value of each patient's own class, [m, 1] of [m, C]."""
    return values.gather(1, labels[:, None])


def of_others(values: Tensor, labels: Tensor) -> Tensor:
    """The values of the other classes, [m, C - 1] of [m, C]."""
    other = torch.ones_like(values, dtype=torch.bool).scatter(1, labels[:, None], value=False)
    return values[other].view(len(values), values.shape[1] - 1)


def patient_mean(losses: Tensor) -> Tensor:
    """The mean of [m]; 0, still connected to the student, where m is 0."""
    return losses.sum() / max(len(losses), 1)
