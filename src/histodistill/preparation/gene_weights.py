"""How much each gene says about the label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray


def label_correlation(genes: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Absolute correlation of each gene with the label, [K].

    For several classes, the root mean square over the classes, each against the others; for
    several targets, that over the targets. Genes are all equal (1) where fewer than two classes
    are known.

    Args:
        genes: Genes, [n, K].
        labels: Class indices, [n], of T targets [n, T]; -1 where unknown, whose patients do not
            count.
    """
    if labels.ndim == 2:
        of_targets = [label_correlation(genes, column) for column in labels.T]
        return np.asarray(np.sqrt(np.square(of_targets).mean(axis=0)))
    known = labels >= 0
    classes = np.unique(labels[known])
    if len(classes) < 2:
        return np.ones(genes.shape[1])
    one_hot = (labels[known, None] == classes).astype(float)
    one_hot = (one_hot - one_hot.mean(axis=0)) / one_hot.std(axis=0)
    centred = genes[known] - genes[known].mean(axis=0)
    covariance = one_hot.T @ centred / len(one_hot)
    spread = np.maximum(centred.std(axis=0), 1e-12)
    return np.asarray(np.sqrt(np.square(covariance / spread).mean(axis=0)))


def gene_weights(
    blocks: Mapping[str, NDArray[np.float64]], labels: NDArray[np.int64], power: float
) -> dict[str, NDArray[np.float32]]:
    """Factors of standardised genes: the power of their correlation with the label.

    A linear network whose weights are kept small needs smaller weights for genes with larger
    factors, so that they count for more: the adaptive penalty of Zou ("The adaptive lasso",
    JASA 2006), here with single-gene correlations. The mean square of all factors together is
    1, so that the network learns at the rate that it has without them.

    Args:
        blocks: Standardised genes of the training patients in each block, [n, K].
        labels: Their class indices, [n], of T targets [n, T]; -1 where unknown.
        power: Power of the correlation; 0 makes all genes alike.

    Returns:
        Factors of each block, float32 [K].
    """
    # Together, for their common scale; the patients are the same in every block.
    together = label_correlation(np.hstack(list(blocks.values())), labels) ** power
    together /= max(float(np.sqrt(np.square(together).mean())), 1e-12)
    ends = np.cumsum([genes.shape[1] for genes in blocks.values()])
    parts = np.split(together.astype(np.float32), ends[:-1])
    return dict(zip(blocks, parts, strict=True))
