"""Logistic regression on all features: the mean patch features of a patient, or a block's genes."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from histodistill.baselines.interface import Classes, Floats, check_training, for_all_classes
from histodistill.baselines.registry import BASELINES

# From strong to weak; the strongest of equally good ones is taken.
_STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_INNER_FOLDS = 5
_MAX_ITERATIONS = 5000


@BASELINES.declare(
    "logistic-slides",
    text="L2 logistic regression on the mean patch, its strength chosen by AUC in five inner folds",
    reads="slides",
)
@BASELINES.declare("logistic-genomics", text="the same on all genes of a block")
class LogisticBaseline:
    """L2 logistic regression on standardised features, classes balanced by weight.

    Args:
        n_classes: C; a class that training lacks gets probability zero.
        inverse_penalty: scikit-learn's ``C``, smaller is stronger. None chooses it by the area
            under the ROC curve in stratified folds of the training patients.
        seed: Of those folds.
    """

    def __init__(
        self, *, n_classes: int = 2, inverse_penalty: float | None = None, seed: int = 0
    ) -> None:
        self.n_classes = n_classes
        self.inverse_penalty = inverse_penalty
        self.seed = seed

    def fit(self, x: Floats, y: Classes) -> Self:
        """Fit on training patients: ``x`` [n, d], ``y`` [n] in 0..C-1.

        Raises:
            InputError: See :func:`histodistill.baselines.interface.check_training`.
        """
        check_training(x, y, self.n_classes)
        # A rotation leaves the L2 solution as it is, and shrinks 20,000 genes to n components.
        self._pipeline: Pipeline = make_pipeline(
            StandardScaler(), PCA(svd_solver="full"), self._regression(y)
        )
        self._pipeline.fit(np.asarray(x, np.float64), y)
        return self

    def predict_proba(self, x: Floats) -> NDArray[np.float64]:
        """Class probabilities [n, C]."""
        probabilities = self._pipeline.predict_proba(np.asarray(x, np.float64))
        return for_all_classes(probabilities, self._pipeline.classes_, self.n_classes)

    def _regression(self, y: Classes) -> LogisticRegression | GridSearchCV:
        regression = LogisticRegression(class_weight="balanced", max_iter=_MAX_ITERATIONS)
        smallest = int(np.unique(y, return_counts=True)[1].min())
        if self.inverse_penalty is not None or smallest < 2:
            return regression.set_params(C=self.inverse_penalty or _STRENGTHS[0])
        folds = StratifiedKFold(min(_INNER_FOLDS, smallest), shuffle=True, random_state=self.seed)
        return GridSearchCV(
            regression,
            {"C": list(_STRENGTHS)},
            scoring="roc_auc_ovr",
            cv=folds,
            error_score="raise",
        )
