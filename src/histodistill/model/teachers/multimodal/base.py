"""What every network that reads slides and genes is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from histodistill.model.batch import Bags, Genes, Output
from histodistill.model.pooling.parts import MaxParts, PooledParts
from histodistill.model.pooling.towers import Tower


class MultimodalTeacher(nn.Module, ABC):
    """A network that answers patients with slides and genes.

    It is built as ``Teacher(shape)``, a :class:`~histodistill.model.shape.Shape`; options of its
    own (``network.multimodal_options``) come as keyword arguments.
    """

    @abstractmethod
    def forward(self, bags: Bags, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of those who have both (``batch.paired``)."""

    def parts(self, bags: Bags, genes: Genes) -> PooledParts | MaxParts | None:  # noqa: ARG002
        """One bag as the network pools it, beside the genes of the same patient.

        See :meth:`histodistill.model.students.base.MILStudent.parts`.
        """
        return None


class PooledTeacher(Protocol):
    """A multimodal teacher that declares ``pooled_together``."""

    def tower(self) -> Tower:
        """What happens to a patch before the pooling."""
        ...

    def answer(self, path: Tensor, bags: Bags, genes: Genes) -> Output:
        """Features and logits of those with bags, pooled already [n, d], and genes."""
        ...
