"""Terms of the loss that teach the student from the genes themselves, without a teacher."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from histodistill.model.batch import Batch, Genes, Output
from histodistill.model.losses.genes.expression import Expression
from histodistill.model.losses.genes.reconstruction import Reconstruction
from histodistill.model.settings import NetworkSettings, ObjectiveSettings
from histodistill.model.students.ghanet.group_reconstruction import GroupReconstruction
from histodistill.model.students.ghanet.student import GROUPS
from histodistill.model.students.momkd.memory_alignment import MemoryAlignment


class GeneTerms(nn.Module):
    """The terms that read genes and have a weight.

    Args:
        settings: Weights of the terms.
        sizes: Sizes of the networks.
        training: Genes of the training patients.

    Raises:
        InputError: The training patients' genes do not suffice.
    """

    def __init__(
        self, settings: ObjectiveSettings, sizes: NetworkSettings, training: Genes | None
    ) -> None:
        super().__init__()
        self._settings = settings
        self.expression = Expression(training)
        n_genes = self.expression.n_genes
        self.reconstruction: Reconstruction | None = None
        self.group_reconstruction: GroupReconstruction | None = None
        self.memory_alignment: MemoryAlignment | None = None
        if settings.reconstruction and training is not None:
            values, _ = self.expression(training)
            components = settings.reconstruction_components
            self.reconstruction = Reconstruction(values, components, sizes.width)
        if settings.group_reconstruction:
            self.group_reconstruction = GroupReconstruction(n_genes, GROUPS, sizes)
        if settings.memory_alignment:
            self.memory_alignment = MemoryAlignment(n_genes, sizes)

    def forward(self, student: Output, batch: Batch) -> dict[str, Tensor]:
        """The terms, weighted, by name, that this batch has patients for."""
        if batch.genes is None:
            return {}
        genes, rows = self.expression(batch.genes)
        return dict(self._terms(student, genes, rows, batch.labels))

    def _terms(
        self, student: Output, genes: Tensor, rows: Tensor, labels: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        weights = self._settings
        answered, measured = torch.isin(student.rows, rows), torch.isin(rows, student.rows)
        if self.reconstruction is not None and measured.any():
            loss = self.reconstruction(student.features[answered], genes[measured])
            yield "reconstruction", weights.reconstruction * loss
        if self.group_reconstruction is not None and measured.any():
            tokens = student.internals["tokens"][answered]
            loss = self.group_reconstruction(tokens, genes[measured])
            yield "group_reconstruction", weights.group_reconstruction * loss
        if self.memory_alignment is not None and len(rows):
            loss = self.memory_alignment(genes, student.internals["memory"], labels[rows])
            yield "memory_alignment", weights.memory_alignment * loss
