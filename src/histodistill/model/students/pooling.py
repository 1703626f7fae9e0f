"""Mean and max pooling of embedded patches, the baselines of attention (Ilse 2018, section 2.2)."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from histodistill.model.batch import Bags, Output
from histodistill.model.layers.ends import classifier, patch_embedding
from histodistill.model.layers.initialisation import init_self_normalising
from histodistill.model.pooling.parts import MaxParts, PooledParts, averaged_parts
from histodistill.model.registries import STUDENTS
from histodistill.model.shape import Shape
from histodistill.model.students.base import MILStudent


class _PooledStudent(MILStudent):
    """Hidden patches, pooled without parameters. The order of the patches does not count."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        settings = shape.settings
        self.patches = patch_embedding(shape.feature_width, settings)
        self.classifier = classifier(shape.n_classes, settings)
        init_self_normalising(self)

    @staticmethod
    @abstractmethod
    def pool(bag: Tensor) -> Tensor:
        """One bag [N, d] as one vector [d]."""

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:  # noqa: ARG002
        """Features [n, d] and logits [n, C] of the n bags."""
        hidden = torch.split(self.patches(bags.patches), list(bags.sizes))
        features = torch.stack([self.pool(bag) for bag in hidden])
        return Output(features, self.classifier(features), bags.rows)


@STUDENTS.declare(
    "mean",
    text="mean of the embedded patches",
    source="Ilse 2018, ICML, section 2.2",
    heads=True,
)
class MeanPooling(_PooledStudent):
    """The mean of the hidden patches."""

    @staticmethod
    def pool(bag: Tensor) -> Tensor:
        """The mean over the patches."""
        return bag.mean(dim=0)

    def parts(self, bags: Bags) -> PooledParts:
        """See :meth:`MILStudent.parts`."""
        return averaged_parts(self.patches(bags.patches), self.classifier)


@STUDENTS.declare(
    "max",
    text="maximum over the embedded patches",
    source="Ilse 2018, ICML, section 2.2",
    heads=True,
)
class MaxPooling(_PooledStudent):
    """The largest value of each hidden feature over the patches."""

    @staticmethod
    def pool(bag: Tensor) -> Tensor:
        """The maximum over the patches."""
        return bag.amax(dim=0)

    def parts(self, bags: Bags) -> MaxParts:
        """See :meth:`MILStudent.parts`."""
        return MaxParts(self.patches(bags.patches), self.classifier)
