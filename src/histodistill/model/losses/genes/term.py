"""What every term of the loss that reads genes is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from histodistill.model.batch import Output
from histodistill.model.settings import NetworkSettings, ObjectiveSettings


@dataclass(frozen=True)
class MeasuredGenes:
    """The genes of the patients of a batch who have every block, as one vector each.

    Attributes:
        values: Standardised genes that vary among the training patients, [m, K].
        rows: Position in the batch of each patient, [m] int64, increasing.
        labels: Class index of each, [m] int64; -1 where unknown.
    """

    values: Tensor
    rows: Tensor
    labels: Tensor

    def beside(self, student: Output) -> tuple[Tensor, Tensor]:
        """Who is both answered by the student and measured: [n] of the answers, [m] of these."""
        return torch.isin(student.rows, self.rows), torch.isin(self.rows, student.rows)


class GeneTerm(nn.Module, ABC):
    """A loss that teaches the student from the genes themselves.

    Its weights, if it has any, are trained with the student and then thrown away.
    """

    @classmethod
    @abstractmethod
    def fitted(cls, training: Tensor, sizes: NetworkSettings, settings: ObjectiveSettings) -> Self:
        """The term with fresh weights, for the genes of the training patients [m, K], m >= 2."""

    @abstractmethod
    def loss(self, student: Output, genes: MeasuredGenes) -> Tensor | None:
        """The loss of a batch, a scalar, not weighted yet; None where nobody takes part."""
