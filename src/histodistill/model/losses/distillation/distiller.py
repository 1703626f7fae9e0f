"""The interface of every way to distil."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Output


class Distiller(nn.Module):
    """A loss between the student and one teacher, balanced so that its weight in a recipe is 1.

    Args:
        width: Size d of the features of both networks.
        n_classes: Number C of classes, at least 2.
    """

    def __init__(self, width: int, n_classes: int) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, student: Output, teacher: Output, labels: Tensor) -> Tensor:
        """The loss of n patients, at least 2, a scalar.

        Args:
            student: What the student makes of the patients.
            teacher: What the teacher makes of them, row by row, detached.
            labels: Class index of each patient, [n] int64; -1 where unknown. A term that
                needs the label leaves out the patients without one; where nobody has a
                label it is a zero that can be backpropagated.
        """
        raise NotImplementedError
