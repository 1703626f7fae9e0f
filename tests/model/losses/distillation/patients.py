"""Outputs of two networks for the same patients, in float64."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from histodistill.model.batch import Output
from histodistill.model.losses.distillation.distiller import Distiller
from histodistill.model.registries import DISTILLERS

WIDTH = 5


def output(seed: int, n: int = 6, n_classes: int = 3, width: int = WIDTH) -> Output:
    """Random features and logits, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, width, generator=generator, dtype=torch.float64)
    logits = 2 * torch.randn(n, n_classes, generator=generator, dtype=torch.float64)
    return Output(features.requires_grad_(), logits.requires_grad_(), torch.arange(n))


def pair(n: int = 6, n_classes: int = 3) -> tuple[Output, Output]:
    """A student and a teacher."""
    return output(1, n, n_classes), output(2, n, n_classes).detached()


def classes(n: int = 6, n_classes: int = 3) -> Tensor:
    """A label for everybody, all classes in turn."""
    return torch.arange(n) % n_classes


def distiller(name: str, n_classes: int = 3, width: int = WIDTH) -> Distiller:
    """A distiller with the initial weights of seed 0."""
    torch.manual_seed(0)
    return DISTILLERS.load(name)(width, n_classes).double()


def loss(name: str, student: Output, teacher: Output, labels: Tensor) -> float:
    """What a fresh distiller answers."""
    n_classes, width = student.logits.shape[1], student.features.shape[1]
    value: Tensor = distiller(name, n_classes, width)(student, teacher, labels)
    return value.item()


def of_features(features: Tensor) -> Output:
    """An output with the given features."""
    return replace(output(9, len(features), width=features.shape[1]), features=features)


def of_logits(logits: Tensor) -> Output:
    """An output with the given logits."""
    return replace(output(9, len(logits), logits.shape[1]), logits=logits)


def rotation(width: int = WIDTH, seed: int = 5) -> Tensor:
    """A random orthogonal matrix."""
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(width, width, generator=generator, dtype=torch.float64)
    orthogonal: Tensor = torch.linalg.qr(square)[0]
    return orthogonal
