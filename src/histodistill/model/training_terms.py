"""The loss of a training: the paper's objective, and terms that have weights of their own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from histodistill.model.batch import Batch, Genes, common
from histodistill.model.building import build_distiller
from histodistill.model.heads import ONE_TARGET, Heads
from histodistill.model.losses.genes.terms import GeneTerms
from histodistill.model.losses.naming import module_name
from histodistill.model.losses.objectives import objective
from histodistill.model.losses.objectives.total import MIN_PATIENTS, Outputs
from histodistill.model.networks import Networks
from histodistill.model.settings import ObjectiveSettings


class TrainingTerms(nn.Module):
    """Every term of the loss.

    Distillers and terms that read genes may have weights, which are trained with the networks
    and then thrown away.

    Args:
        settings: Weights of the terms.
        networks: The networks that are trained.
        training_genes: Genes of the training patients, for terms that read genes.
        heads: Which logits answer which target.

    Raises:
        InputError: A term that reads genes has none to be fitted on.
    """

    def __init__(
        self,
        settings: ObjectiveSettings,
        networks: Networks,
        training_genes: Genes | None = None,
        heads: Heads = ONE_TARGET,
    ) -> None:
        super().__init__()
        self._settings = settings
        self._heads = heads
        self.distillers = nn.ModuleDict()
        self._ways = {name: weight for name, weight in settings.distillation.items() if weight}
        for name in self._ways:
            for teacher in settings.teachers:
                distiller = build_distiller(
                    name, settings, networks.settings.width, networks.n_classes
                )
                self.distillers[module_name(f"{name}_{teacher}")] = distiller
        self.from_genes: GeneTerms | None = None
        if settings.reads_genes:
            self.from_genes = GeneTerms(settings, networks.settings, training_genes)

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        """All terms, weighted, by name; the loss is their sum.

        Args:
            outputs: Outputs of the networks, and of frozen teachers, for one batch.
            batch: The batch.
        """
        terms = objective(outputs, batch.labels, self._settings, self._heads)
        terms |= dict(self._distilled(outputs, batch))
        if self.from_genes is not None and "student" in outputs:
            terms |= self.from_genes(outputs["student"], batch)
        return terms

    def _distilled(self, outputs: Outputs, batch: Batch) -> Iterator[tuple[str, Tensor]]:
        for name, weight in self._ways.items():
            for teacher in self._settings.teachers:
                if "student" in outputs and teacher in outputs:
                    learner, taught_by = common(outputs["student"], outputs[teacher])
                    if len(learner.rows) >= MIN_PATIENTS:
                        distil = self.distillers[module_name(f"{name}_{teacher}")]
                        labels = batch.labels[learner.rows]
                        loss = distil(learner, taught_by.detached(), labels)
                        yield f"{name}_{teacher}", weight * loss


def total(terms: dict[str, Tensor]) -> Tensor:
    """The sum of all terms; for the models of a stack, [M], of each."""
    return torch.stack(list(terms.values())).sum(dim=0)
