"""Expression as the features of a trained network tell it, for maps; no answer needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge

from histodistill.preparation.penalty import best_penalty
from histodistill.preparation.predicted_genes import judge_predicted_genes
from histodistill.preparation.programmes import ExpressionProgrammes

Matrix = NDArray[np.float64]

# Ridge penalties that are tried, per patient and standardised feature.
_PENALTIES = np.logspace(-3, 2, 16)


@dataclass(frozen=True)
class Featured:
    """Patients with slides and genes, as a network reads them.

    Attributes:
        features: What the network made of their slides, [n, d].
        genes: Their scaled genes, [n, K].
        groups: Hospital of each, or another group within which genes are compared.
    """

    features: Matrix
    genes: Matrix
    groups: Sequence[str]


def fit_learnt_expression(
    training: Featured, held_out: Featured, names: Sequence[str], n_programmes: int
) -> ExpressionProgrammes | None:
    """A linear map from a network's features to programmes of expression.

    The programmes are the leading principal components of the training patients' genes, with a
    standard deviation of 1, as the term ``reconstruction`` has them. Ridge regression reads them
    off the features; how well is measured on patients whom the network was not trained on. Of a
    network that weights and adds up hidden patches, the same map reads every hidden patch.

    Args:
        training: Patients whom the network was trained on.
        held_out: Patients whom it was not.
        names: Names of the genes, ``block:gene``.
        n_programmes: Programmes, at most.

    Returns:
        None where fewer than 20 patients were held out, or fewer than 3 were trained on.
    """
    if len(training.features) < 3:
        return None
    rank = min(n_programmes, len(training.genes) - 1, training.genes.shape[1])
    components = PCA(rank, svd_solver="full").fit(training.genes)
    unit = np.maximum(np.sqrt(components.explained_variance_), 1e-12)
    scores, measured = (components.transform(each.genes) / unit for each in (training, held_out))
    weight, bias = _ridge(training.features, scores)
    told = held_out.features @ weight + bias
    genes = judge_predicted_genes(
        told, (measured, held_out.genes), (scores, training.genes), names, held_out.groups
    )
    if genes is None:
        return None
    return ExpressionProgrammes(_stored(weight), _stored(bias), None, genes)


def _ridge(features: Matrix, scores: Matrix) -> tuple[Matrix, Matrix]:
    """Weight [d, k] and bias [k]; the penalty leaves each patient out in turn."""
    centre, scale = features.mean(axis=0), features.std(axis=0)
    scale[scale <= 1e-9] = np.inf
    inputs, answers = (features - centre) / scale, scores - scores.mean(axis=0)
    penalty = best_penalty(inputs, answers, _PENALTIES * len(features))
    weight = np.atleast_2d(Ridge(penalty).fit(inputs, answers).coef_).T / scale[:, None]
    return weight, scores.mean(axis=0) - centre @ weight


def _stored(values: Matrix) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
