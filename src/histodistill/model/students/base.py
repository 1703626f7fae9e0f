"""What every network that reads slides alone is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

from torch import Tensor, nn

from histodistill.model.batch import Bags, Output
from histodistill.model.pooling.parts import MaxParts, PooledParts
from histodistill.model.pooling.towers import Tower


class MILStudent(nn.Module, ABC):
    """A network that answers bags of patches.

    It is built as ``Student(shape)``, a :class:`~histodistill.model.shape.Shape`; options of its
    own (``network.student_options``) come as keyword arguments.
    """

    @abstractmethod
    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        """What the network makes of every bag.

        Args:
            bags: n bags; ``bags.patches`` [P, F] are all patches, ``bags.split()`` the bags.
            labels: Class indices [n] int64, -1 where unknown, in training alone: for networks
                with a loss of their own, which they return as ``auxiliary``.

        Returns:
            Features [n, d] (d is ``settings.width``, unless it is declared otherwise), logits
            [n, C], and ``bags.rows``. ``internals`` may hold what terms of the loss read.
        """

    def parts(self, bags: Bags) -> PooledParts | MaxParts | None:  # noqa: ARG002
        """One bag as the network pools it, patch by patch; None where it does not add them up.

        With it the network's maps are exact. Without dropout.
        """
        return None


class PooledStudent(Protocol):
    """A student that declares ``pooled_together``."""

    def tower(self) -> Tower:
        """What happens to a patch before the pooling."""
        ...

    def answer(self, pooled: Tensor, rows: Tensor) -> Output:
        """Features and logits of bags that have been pooled, [n, d], of patients [n]."""
        ...
