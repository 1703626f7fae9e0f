"""One gene alone: how far "slides + genomics" is a read-out of the label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from histodistill.baselines.interface import Classes, Floats, check_training, for_all_classes
from histodistill.baselines.registry import BASELINES
from histodistill.errors import InputError

RECEPTOR_GENES = ("ESR1", "PGR", "ERBB2")


@BASELINES.declare(
    "single-gene",
    text="logistic regression on the best gene of the training patients, and on each of `genes`",
    reads="genes",
)
class SingleGeneBaseline:
    """Univariate logistic regression on one gene, classes balanced by weight.

    Args:
        names: Gene symbol of each column of the inputs.
        gene: The gene to use; None chooses the one with the best area under the ROC curve among
            the training patients, in either direction, averaged one-vs-rest beyond two classes.
            Among equals the first in alphabetical order is taken.
        n_classes: C; a class that training lacks gets probability zero.

    Attributes:
        gene_: The gene used.
    """

    gene_: str

    def __init__(
        self, names: Sequence[str], *, gene: str | None = None, n_classes: int = 2
    ) -> None:
        if gene is not None and gene not in names:
            raise InputError(f"The single-gene baseline's gene {gene} is not among the genes.")
        self.names = list(names)
        self.gene = gene
        self.n_classes = n_classes

    def fit(self, x: Floats, y: Classes) -> Self:
        """Fit on training patients: ``x`` [n, d], ``y`` [n] in 0..C-1.

        Raises:
            InputError: The columns are not those named, or see
                :func:`histodistill.baselines.interface.check_training`.
        """
        check_training(x, y, self.n_classes)
        self._check_columns(x)
        self.gene_ = self.gene if self.gene is not None else self._best(x, y)
        self._pipeline: Pipeline = make_pipeline(
            StandardScaler(), LogisticRegression(class_weight="balanced")
        )
        self._pipeline.fit(self._column(x), y)
        return self

    def predict_proba(self, x: Floats) -> NDArray[np.float64]:
        """Class probabilities [n, C]."""
        self._check_columns(x)
        probabilities = self._pipeline.predict_proba(self._column(x))
        return for_all_classes(probabilities, self._pipeline.classes_, self.n_classes)

    def _check_columns(self, x: Floats) -> None:
        if x.shape[1] != len(self.names):
            raise InputError(
                f"The single-gene baseline got {x.shape[1]} columns for {len(self.names)} genes."
            )

    def _best(self, x: Floats, y: Classes) -> str:
        separation = gene_separation(x, y)
        best = np.flatnonzero(separation == separation.max())
        return min(self.names[column] for column in best)

    def _column(self, x: Floats) -> NDArray[np.float64]:
        return np.asarray(x[:, [self.names.index(self.gene_)]], np.float64)


def named_gene_baselines(
    names: Sequence[str], *, genes: Sequence[str] = RECEPTOR_GENES, n_classes: int = 2
) -> dict[str, SingleGeneBaseline]:
    """A baseline for each of some genes that is among the columns, by gene."""
    present = [gene for gene in genes if gene in names]
    return {gene: SingleGeneBaseline(names, gene=gene, n_classes=n_classes) for gene in present}


def gene_separation(x: Floats, y: Classes) -> NDArray[np.float64]:
    """How well each gene alone tells the classes apart.

    For every class against the rest the area under the ROC curve (from rank sums, ties halved) or
    its complement, whichever is larger; the mean over the classes present. [d], in .5 to 1.
    """
    ranks = rankdata(x, axis=0)
    areas = []
    for label in np.unique(y):
        inside = y == label
        n, m = int(inside.sum()), int((~inside).sum())
        area = (ranks[inside].sum(axis=0) - n * (n + 1) / 2) / (n * m)
        areas.append(np.maximum(area, 1 - area))
    return np.asarray(np.mean(areas, axis=0))
