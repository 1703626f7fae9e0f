"""The terms of the loss that teach the student from the genes themselves, without a teacher."""

from __future__ import annotations

from torch import Tensor, nn

from histodistill.model.batch import Batch, Genes, Output
from histodistill.model.losses.genes.expression import Expression
from histodistill.model.losses.genes.term import GeneTerm, MeasuredGenes
from histodistill.model.losses.naming import module_name
from histodistill.model.registries import GENE_TERMS
from histodistill.model.settings import NetworkSettings, ObjectiveSettings


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
        self.expression = Expression(training)
        self._weights = {name: weight for name, weight in settings.from_genes.items() if weight}
        assert training is not None  # or there would be no expression
        values, _ = self.expression(training)
        for name in self._weights:
            term = GENE_TERMS.load(name).fitted(values, sizes, settings)
            self.add_module(module_name(name), term)

    def forward(self, student: Output, batch: Batch) -> dict[str, Tensor]:
        """The terms, weighted, by name, that this batch has patients for."""
        if batch.genes is None:
            return {}
        values, rows = self.expression(batch.genes)
        genes = MeasuredGenes(values, rows, batch.labels[rows])
        losses = {name: self.term(name).loss(student, genes) for name in self._weights}
        return {
            name: self._weights[name] * loss for name, loss in losses.items() if loss is not None
        }

    def term(self, name: str) -> GeneTerm:
        """One of the terms."""
        term = self.get_submodule(module_name(name))
        assert isinstance(term, GeneTerm)
        return term
