"""Genomics aligned with the class memories of MoMKD's student, in training alone."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn
from torch.nn.functional import mse_loss, normalize

from histodistill.model.batch import Output
from histodistill.model.losses.genes.term import GeneTerm, MeasuredGenes
from histodistill.model.registries import GENE_TERMS
from histodistill.model.settings import NetworkSettings, ObjectiveSettings
from histodistill.model.students.momkd.class_memory import soft_angle_loss

ALIGNMENT_WEIGHT = 0.05
RECONSTRUCTION_WEIGHT = 0.01


@GENE_TERMS.declare(
    "memory_alignment",
    text="genomics with the class memories of the student `momkd`",
    student="momkd",
)
class MemoryAlignment(GeneTerm):
    """An autoencoder of the genes whose code is aligned with the memories that slides read.

    Genes and slides meet in the memories alone: no gradient passes from one's encoder to the
    other's. Source: MoMKD (see ``students.momkd``): encoder, decoder, projection, and the
    weights 0.05 of the alignment and 0.01 of the reconstruction.

    Args:
        n_genes: Genes K.
        settings: Sizes; the memories are ``attention_width`` wide.
    """

    def __init__(self, n_genes: int, settings: NetworkSettings) -> None:
        super().__init__()
        self.encoder = _perceptron(n_genes, settings.width, settings)
        self.decoder = _perceptron(settings.width, n_genes, settings)
        self.projection = nn.Linear(settings.width, settings.attention_width)

    @classmethod
    def fitted(cls, training: Tensor, sizes: NetworkSettings, settings: ObjectiveSettings) -> Self:  # noqa: ARG003
        """For as many genes as the training patients have."""
        return cls(training.shape[1], sizes)

    def loss(self, student: Output, genes: MeasuredGenes) -> Tensor | None:
        """The loss of the patients with genes; they need no slides."""
        if not len(genes.rows):
            return None
        loss: Tensor = self(genes.values, student.internals["memory"], genes.labels)
        return loss

    def forward(self, genes: Tensor, memory: Tensor, labels: Tensor) -> Tensor:
        """The loss of patients with genes [n, K], n >= 1.

        Args:
            genes: Standardised genes.
            memory: Unit vectors of the classes, [C, size, s].
            labels: Class indices, [n]; who has none (-1) is reconstructed only.
        """
        code = self.encoder(genes)
        loss = RECONSTRUCTION_WEIGHT * mse_loss(self.decoder(code), genes)
        known = labels >= 0
        if known.any():
            directions = normalize(self.projection(code[known]), dim=-1)
            loss = loss + ALIGNMENT_WEIGHT * soft_angle_loss(directions, memory, labels[known])
        return loss


def _perceptron(inputs: int, outputs: int, settings: NetworkSettings) -> nn.Sequential:
    hidden = 2 * settings.width
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LayerNorm(hidden),
        nn.ReLU(),
        nn.Dropout(settings.dropout),
        nn.Linear(hidden, outputs),
    )
