"""Expression reconstructed from the features of the student, in training alone."""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from histodistill.model.batch import Output
from histodistill.model.losses.genes.term import GeneTerm, MeasuredGenes
from histodistill.model.registries import GENE_TERMS
from histodistill.model.settings import NetworkSettings, ObjectiveSettings


@GENE_TERMS.declare(
    "reconstruction",
    text="expression's principal components from the student's features",
    one_width=True,
)
class Reconstruction(GeneTerm):
    """Principal components of expression, predicted from features by a linear head.

    The components belong to the training patients, whose scores are standardised by them;
    nobody else has a part in the target. Predicting the mean costs 1. Our own term: G-HANet
    (see ``students.ghanet``) reconstructs the genes themselves.

    Args:
        training: Genes of the training patients, [m, K], m >= 2.
        n_components: Components, at most; never more than the genes have.
        width: Size d of the features.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, training: Tensor, n_components: int, width: int) -> None:
        super().__init__()
        mean, axes = principal_axes(training, n_components)
        self.register_buffer("mean", mean)
        self.register_buffer("axes", axes)
        self.head = nn.Linear(width, axes.shape[1])

    @classmethod
    def fitted(cls, training: Tensor, sizes: NetworkSettings, settings: ObjectiveSettings) -> Self:
        """For the training patients' genes, with as many components as the settings say."""
        return cls(training, settings.reconstruction_components, sizes.width)

    def loss(self, student: Output, genes: MeasuredGenes) -> Tensor | None:
        """The error for the patients with an answer and genes."""
        answered, measured = genes.beside(student)
        if not measured.any():
            return None
        error: Tensor = self(student.features[answered], genes.values[measured])
        return error

    def scores(self, genes: Tensor) -> Tensor:
        """Standardised component scores of genes [n, K], [n, k]."""
        return (genes - self.mean) @ self.axes

    def forward(self, features: Tensor, genes: Tensor) -> Tensor:
        """Mean squared error of features [n, d] for patients with genes [n, K]."""
        return mse_loss(self.head(features), self.scores(genes))


def principal_axes(values: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """Mean [K] and leading principal axes [K, k] of values [m, K].

    An axis is divided by the deviation of its scores, so that ``(values - mean) @ axes`` has
    mean 0 and variance 1 (with 1 / (m - 1)) in every column, and the columns are uncorrelated.
    """
    exact = values.double()
    mean = exact.mean(dim=0)
    centred = exact - mean
    # Between patients, of whom there are far fewer than genes: their inner products have the
    # same components as the covariance of the genes, at a fraction of its cost.
    powers, vectors = torch.linalg.eigh(centred @ centred.T)
    negligible = powers[-1] * len(values) * torch.finfo(torch.float64).eps
    kept = min(n_components, int((powers > negligible).sum()))
    leading = powers.flip(0)[:kept]
    weights = vectors.flip(1)[:, :kept] * (math.sqrt(len(values) - 1) / leading)
    return mean.to(values.dtype), (centred.T @ weights).to(values.dtype)
