"""A linear student: the mean patch, and one layer."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.dropout import Dropout
from histodistill.model.pooling.parts import PooledParts, averaged_parts
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


@STUDENTS.declare(
    "linear",
    text="logistic regression on the mean patch, trained like the networks",
    differs="this library's; weights start from 0, features are divided by the root of their "
    "number",
    fixed_width=False,
    stackable=True,
    heads=True,
)
class LinearStudent(MILStudent):
    """Logistic regression on the mean patch of a bag, with dropout of its inputs.

    Its features are the mean patch, divided by the root of their number, so that networks of
    any width learn at the same rate. Weights start from 0, so that every class is
    equally probable at first. The order of the patches does not count.

    ``network.shrinkage`` adds a penalty of the squared weights of every class to the mean
    cross-entropy: with n patients and two classes scikit-learn's ``C`` is 1 over n times it.
    AdamW's steps are of one size for all inputs, and its decay does not change that: those that say
    little are soon as heavy as those that say much. Under a penalty they stay light.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shrinkage = shape.settings.shrinkage
        layer = nn.Linear(shape.feature_width, shape.n_classes)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        self.classifier = nn.Sequential(Dropout(shape.settings.dropout), layer)

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, F] and logits [n, C] of the n bags."""
        return self.answer(torch.stack([bag.mean(dim=0) for bag in bags.split()]), bags.rows)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        return averaged_parts(bags.patches / math.sqrt(bags.patches.shape[1]), self.classifier)

    def answer(self, means: Tensor, rows: Tensor) -> Output:
        """Features and logits of bags whose mean patch is known, [n, F]."""
        features = means / math.sqrt(means.shape[1])
        auxiliary = self._penalty() if self.training and self.shrinkage else None
        return Output(features, self.classifier(features), rows, auxiliary)

    def _penalty(self) -> Tensor:
        """Of the weights of features that are not divided."""
        weight = cast("nn.Linear", self.classifier[1]).weight
        return self.shrinkage * weight.square().sum() / weight.shape[1]
