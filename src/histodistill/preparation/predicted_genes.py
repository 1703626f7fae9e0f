"""Genes as slides tell them: from a patch's programmes to each gene, cross-validated."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Matrix = NDArray[np.float64]
# From the mean patches [m, F] of some patients and their scores of mean 0, [m, k], to a map of
# patches to scores: [F, k] and [k].
Regression = Callable[[Matrix, Matrix], tuple[Matrix, Matrix]]

N_FOLDS = 5
# With fewer patients a correlation says nothing.
FEWEST_PATIENTS = 20
# Hospitals of fewer patients, on average, leave nothing to compare within them.
_FEWEST_IN_GROUP = 4


@dataclass(frozen=True)
class PredictedGenes:
    """What slides tell of programmes and genes, and how well.

    A gene is predicted from the programmes that slides tell: by its regression on the programmes
    of the training patients, which is its share in the principal components. So its map is made
    of what the network reads, and takes k numbers to store. A ridge regression for each gene
    predicts about as well (`experiments/predicted_genes.py`), from more than the network reads.

    A correlation is Pearson's, over patients, between what slides predict and what was measured;
    each patient is predicted by a map that was not fitted on the patient or its hospital. Where
    hospitals are known, both are compared within hospitals, so that a stain and an assay which
    differ between them make no correlation. What the programmes are made of is the same for all.

    Attributes:
        genes: Names ``block:gene``, K of them.
        weight: Genes from the programmes of a patch, float32 [k, K]: standard deviations of the
            gene among training patients, from their mean.
        gene_r: Correlation of each gene, float32 [K].
        programme_r: Correlation of each programme, float32 [k].
        programme_sd: Standard deviation, over those patients, of what slides predict of each
            programme, float32 [k].
        n_patients: Patients that the correlations were measured on.
        n_groups: Hospitals within which they were measured; 1 where all count as one.
        held_out: Whether those patients were kept out of the training of the network whose
            features tell the programmes, instead of being predicted in turn.
    """

    genes: tuple[str, ...]
    weight: Tensor
    gene_r: Tensor
    programme_r: Tensor
    programme_sd: Tensor
    n_patients: int
    n_groups: int = 1
    held_out: bool = False

    def __post_init__(self) -> None:
        k, n_genes = self.weight.shape
        of_each = self.gene_r, self.programme_r, self.programme_sd
        found = len(self.genes), *(own.shape for own in of_each)
        if found != (n_genes, (n_genes,), (k,), (k,)):
            raise ValueError("values of predicted genes do not belong together")

    def of(self, programmes: Tensor, columns: Sequence[int]) -> Tensor:
        """Some genes [n, m] float32 of n patches, in standard deviations from the mean.

        Args:
            programmes: The patches as programmes, [n, k].
            columns: Which of ``genes``, m of them.
        """
        return programmes @ self.weight[:, list(columns)]

    def to_tensors(self) -> dict[str, Tensor]:
        """The fitted values, to be stored beside the names."""
        held_out = {"genes_held_out": torch.ones(1)} if self.held_out else {}
        return {
            **held_out,
            "genes_weight": self.weight,
            "genes_r": self.gene_r,
            "genes_programme_r": self.programme_r,
            "genes_programme_sd": self.programme_sd,
            "genes_n": torch.tensor([self.n_patients, self.n_groups]),
        }

    @classmethod
    def from_tensors(cls, genes: Sequence[str], tensors: Mapping[str, Tensor]) -> PredictedGenes:
        """Restore what :meth:`to_tensors` returned.

        Raises:
            KeyError, ValueError: The values are not those of these genes.
        """
        n_patients, n_groups = tensors["genes_n"].tolist()
        return cls(
            genes=tuple(genes),
            weight=tensors["genes_weight"],
            gene_r=tensors["genes_r"],
            programme_r=tensors["genes_programme_r"],
            programme_sd=tensors["genes_programme_sd"],
            n_patients=n_patients,
            n_groups=n_groups,
            held_out="genes_held_out" in tensors,
        )


def fit_predicted_genes(
    means: Matrix,
    genes: Matrix,
    names: Sequence[str],
    scores: Matrix,
    regression: Regression,
    groups: Sequence[str],
    unit: float = 1.0,
) -> PredictedGenes | None:
    """Learn how programmes make genes, and measure what slides tell, from training patients.

    Args:
        means: Mean squashed patch of each training patient, [n, F].
        genes: Their scaled genes, [n, K].
        names: Names of the genes, ``block:gene``.
        scores: Their programmes as measured, [n, k].
        regression: How patches are mapped to scores.
        groups: Group of each patient, such as the hospital; none is in two parts. Every patient
            counts as one where there are fewer than five groups, or fewer than four patients in a
            group on average.
        unit: Scores in a unit of the programmes as patches are read.

    Returns:
        None where there are fewer than 20 patients, of whom nothing can be said.
    """
    if len(means) < FEWEST_PATIENTS:
        return None
    deviation = genes.std(axis=0)
    genes = (genes - genes.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)
    group = numbered(groups)
    told_genes, told_scores = np.empty_like(genes), np.empty_like(scores)
    for out in _parts(group, len(means)):
        # Deviations from the mean of the others: that mean is low where those left out are high,
        # and would make a correlation below 0 of nothing.
        slope, constant = regression(means[~out], scores[~out] - scores[~out].mean(axis=0))
        told_scores[out] = means[out] @ slope + constant
        told_genes[out] = told_scores[out] @ _from_scores(scores[~out], genes[~out])
    return PredictedGenes(
        genes=tuple(names),
        weight=_stored(_from_scores(scores, genes) * unit),
        gene_r=_stored(_correlation(told_genes, genes, group)),
        programme_r=_stored(_correlation(told_scores, scores, group)),
        programme_sd=_stored(np.maximum(told_scores.std(axis=0) / unit, 1e-6)),
        n_patients=len(means),
        n_groups=1 if group is None else int(group.max()) + 1,
    )


def judge_predicted_genes(
    told: Matrix,
    measured: tuple[Matrix, Matrix],
    training: tuple[Matrix, Matrix],
    names: Sequence[str],
    groups: Sequence[str],
) -> PredictedGenes | None:
    """Learn how programmes make genes, and measure what is told of patients kept out of training.

    Args:
        told: Programmes predicted of the held-out patients, [m, k].
        measured: Their programmes [m, k] and scaled genes [m, K] as measured.
        training: Programmes [n, k] and scaled genes [n, K] of the training patients.
        names: Names of the genes, ``block:gene``.
        groups: Group of each held-out patient, such as the hospital.

    Returns:
        None where fewer than 20 patients were held out.
    """
    if len(told) < FEWEST_PATIENTS:
        return None
    scores, genes = training
    deviation = genes.std(axis=0)
    weight = _from_scores(scores, genes / np.where(deviation > 0, deviation, np.inf))
    group = numbered(groups)
    return PredictedGenes(
        genes=tuple(names),
        weight=_stored(weight),
        gene_r=_stored(_correlation(told @ weight, measured[1], group)),
        programme_r=_stored(_correlation(told, measured[0], group)),
        programme_sd=_stored(np.maximum(told.std(axis=0), 1e-6)),
        n_patients=len(told),
        n_groups=1 if group is None else int(group.max()) + 1,
        held_out=True,
    )


def _correlation(predicted: Matrix, measured: Matrix, group: NDArray[np.int64] | None) -> Matrix:
    """Pearson's correlation of each column within groups; 0 where one of the two is constant."""
    a, b = _centred(predicted, group), _centred(measured, group)
    spread = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    product = (a * b).sum(axis=0)
    spread[spread <= 1e-12] = np.inf
    return np.asarray(product / spread)


def _centred(values: Matrix, group: NDArray[np.int64] | None) -> Matrix:
    """Values [n, K] less the mean of their group."""
    if group is None:
        return np.asarray(values - values.mean(axis=0))
    order = np.argsort(group, kind="stable")
    sizes = np.bincount(group)
    total = np.add.reduceat(values[order], np.cumsum(sizes) - sizes)
    return np.asarray(values - (total / sizes[:, None])[group])


def _from_scores(scores: Matrix, genes: Matrix) -> Matrix:
    """Slopes [k, K] of genes on scores, by least squares."""
    return np.asarray(np.linalg.pinv(_centred(scores, None)) @ _centred(genes, None))


def numbered(groups: Sequence[str]) -> NDArray[np.int64] | None:
    """Number of each patient's group, [n]; None where groups are too few or too small."""
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < N_FOLDS or len(group) < _FEWEST_IN_GROUP * len(names):
        return None
    return group.astype(np.int64)


def _parts(group: NDArray[np.int64] | None, n: int) -> Iterator[NDArray[np.bool_]]:
    """Who is predicted from all others, part by part; groups stay together."""
    from sklearn.model_selection import GroupKFold

    together = np.arange(n) if group is None else group
    for _, rows in GroupKFold(N_FOLDS).split(together, groups=together):
        out = np.zeros(n, dtype=np.bool_)
        out[rows] = True
        yield out


def _stored(values: Matrix) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
