"""Groups of genes reconstructed from the tokens of G-HANet's student, in training alone."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, mse_loss

from histodistill.errors import InputError
from histodistill.model.batch import Output
from histodistill.model.losses.genes.term import GeneTerm, MeasuredGenes
from histodistill.model.registries import GENE_TERMS
from histodistill.model.settings import NetworkSettings, ObjectiveSettings
from histodistill.model.students.ghanet.student import GROUPS


@GENE_TERMS.declare(
    "group_reconstruction",
    text="groups of genes from the tokens of the student `ghanet`",
    student="ghanet",
)
class GroupReconstruction(GeneTerm):
    """Each token of the student is decoded into the genes of its own group.

    The loss is ``sum over groups of mean_i (1 - cos(r_i, x_i))^3 + MSE(r, x)``. Source:
    G-HANet (see ``students.ghanet``): decoders and loss. Our reading: the source's groups are
    functional (transcription factors, cytokines, ...); here, where no such list is given,
    they are equal stretches of the genes in their order of selection.

    Args:
        n_genes: Genes K.
        n_groups: Tokens G of the student.
        settings: Sizes.

    Raises:
        InputError: Fewer genes than groups.
    """

    def __init__(self, n_genes: int, n_groups: int, settings: NetworkSettings) -> None:
        super().__init__()
        if n_genes < n_groups:
            raise InputError(
                f"{n_genes} genes vary among the training patients, and the student `ghanet` "
                f"reconstructs {n_groups} groups of genes; select more genes"
            )
        sizes = [len(group) for group in torch.arange(n_genes).tensor_split(n_groups)]
        self.decoders = nn.ModuleList(_decoder(size, settings) for size in sizes)

    @classmethod
    def fitted(cls, training: Tensor, sizes: NetworkSettings, settings: ObjectiveSettings) -> Self:  # noqa: ARG003
        """For as many genes as the training patients have."""
        return cls(training.shape[1], GROUPS, sizes)

    def loss(self, student: Output, genes: MeasuredGenes) -> Tensor | None:
        """The loss of the patients with an answer and genes."""
        answered, measured = genes.beside(student)
        if not measured.any():
            return None
        loss: Tensor = self(student.internals["tokens"][answered], genes.values[measured])
        return loss

    def forward(self, tokens: Tensor, genes: Tensor) -> Tensor:
        """The loss of patients with tokens [n, G, d] and genes [n, K]."""
        groups = genes.tensor_split(len(self.decoders), dim=1)
        losses = []
        for token, group, decoder in zip(tokens.unbind(dim=1), groups, self.decoders, strict=True):
            decoded = decoder(token)
            angle = (1 - cosine_similarity(decoded, group, dim=1)).pow(3).mean()
            losses.append(angle + mse_loss(decoded, group))
        return torch.stack(losses).sum()


def _decoder(size: int, settings: NetworkSettings) -> nn.Sequential:
    width = settings.width
    return nn.Sequential(
        nn.Linear(width, width),
        nn.LayerNorm(width),
        nn.ELU(),
        nn.Dropout(settings.dropout),
        nn.Linear(width, size),
    )
