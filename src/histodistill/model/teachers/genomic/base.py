"""What every network that reads genes alone is."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from histodistill.model.batch import Genes, Output


class GenomicTeacher(nn.Module, ABC):
    """A network that answers the genes of patients.

    It is built as ``Teacher(shape)``, a :class:`~histodistill.model.shape.Shape`; options of its
    own (``network.genomic_options``) come as keyword arguments.
    """

    @abstractmethod
    def forward(self, genes: Genes) -> Output:
        """Features [n, d] and logits [n, C] of n patients; a block may be missing for some."""
