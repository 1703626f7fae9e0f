"""Logistic regression with elastic net on a block's genes: few of them count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import enet_path
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from histodistill.baselines.interface import Classes, Floats, check_training, for_all_classes
from histodistill.baselines.registry import BASELINES

Matrix = NDArray[np.float64]

# Share of the L1 penalty, and strength as a share of the one that leaves no gene; strong first.
_MIXINGS = (0.1, 0.5, 0.9)
_STRENGTHS = tuple(float(strength) for strength in np.geomspace(0.7, 0.05, 6))
_INNER_FOLDS = 5
_NEWTON_STEPS = 25
_TOLERANCE = 1e-4
# Genes that lie side by side have nearly the same copy number: coordinate descent goes over them
# some thousand times, of a cohort of 600 patients up to 3000.
_PASSES = 20_000
_SMALLEST_CURVATURE = 1e-5
# Coordinate descent ends within its tolerance: slopes are as exact as that.
_SLACK = 1 + 1e-3


@BASELINES.declare(
    "elastic-net-genomics",
    text="elastic net, strength and mixing chosen by AUC in five inner folds",
    source="Zou, JRSS B 2005",
)
class ElasticNetBaseline:
    """Elastic-net logistic regression on standardised features, classes balanced by weight.

    Strength and mixing are those of the best area under the ROC curve in stratified folds of
    the training patients; among equals the strongest is taken. Beyond two classes each is told
    from the rest, with the same strength and mixing, and the probabilities are normalised.

    Args:
        n_classes: C; a class that training lacks gets probability zero.
        seed: Of the inner folds.

    Attributes:
        strength_: Chosen strength, as a share of the one that leaves no feature.
        mixing_: Chosen share of the L1 penalty.
        coefficients_: [classes seen, d]; of two classes, the first is minus the second.
    """

    strength_: float
    mixing_: float
    coefficients_: Matrix

    def __init__(self, *, n_classes: int = 2, seed: int = 0) -> None:
        self.n_classes = n_classes
        self.seed = seed

    def fit(self, x: Floats, y: Classes) -> Self:
        """Fit on training patients: ``x`` [n, d], ``y`` [n] in 0..C-1.

        Raises:
            InputError: See :func:`histodistill.baselines.interface.check_training`.
        """
        check_training(x, y, self.n_classes)
        self._scaler = StandardScaler().fit(np.asarray(x, np.float64))
        scaled = self._scaler.transform(np.asarray(x, np.float64))
        self._classes = np.unique(y)
        self.strength_, self.mixing_ = self._chosen(scaled, y)
        strengths = [s for s in _STRENGTHS if s >= self.strength_]
        *_, last = _paths(scaled, y, self.mixing_, strengths)
        self.coefficients_, self._intercepts = last
        return self

    def predict_proba(self, x: Floats) -> Matrix:
        """Class probabilities [n, C]."""
        scaled = self._scaler.transform(np.asarray(x, np.float64))
        probabilities = _probabilities(scaled, self.coefficients_, self._intercepts)
        return for_all_classes(probabilities, self._classes, self.n_classes)

    def _chosen(self, x: Matrix, y: Classes) -> tuple[float, float]:
        """The strength and the mixing of the best mean AUC over the inner folds."""
        smallest = int(np.unique(y, return_counts=True)[1].min())
        if smallest < 2:
            return _STRENGTHS[len(_STRENGTHS) // 2], _MIXINGS[len(_MIXINGS) // 2]
        folds = StratifiedKFold(min(_INNER_FOLDS, smallest), shuffle=True, random_state=self.seed)
        areas = np.mean([_areas(x, y, train, held) for train, held in folds.split(x, y)], axis=0)
        strength, mixing = np.unravel_index(areas.argmax(), areas.shape)
        return _STRENGTHS[strength], _MIXINGS[mixing]


def _areas(x: Matrix, y: Classes, train: Classes, held: Classes) -> Matrix:
    """AUC in the patients held out, one class against the rest, [strengths, mixings]."""
    areas = np.empty((len(_STRENGTHS), len(_MIXINGS)))
    for column, mixing in enumerate(_MIXINGS):
        for row, fitted in enumerate(_paths(x[train], y[train], mixing, _STRENGTHS)):
            answer = _probabilities(x[held], *fitted)
            scores = answer[:, 1] if answer.shape[1] == 2 else answer
            areas[row, column] = roc_auc_score(y[held], scores, multi_class="ovr")
    return areas


def _probabilities(x: Matrix, coefficients: Matrix, intercepts: Matrix) -> Matrix:
    each = expit(x @ coefficients.T + intercepts)
    normalised: Matrix = each / each.sum(axis=1, keepdims=True)
    return normalised


def _paths(
    x: Matrix, y: Classes, mixing: float, strengths: Sequence[float]
) -> Iterator[tuple[Matrix, Matrix]]:
    """Coefficients [classes, d] and intercepts [classes], from strong to weak penalties."""
    classes = np.unique(y)
    told_apart = classes if len(classes) > 2 else classes[1:]
    paths = [_path(x, y == label, mixing, strengths) for label in told_apart]
    for fits in zip(*paths, strict=True):
        coefficients, intercepts = (np.array(values) for values in zip(*fits, strict=True))
        if len(classes) == 2:  # the other class is the opposite
            coefficients = np.concatenate([-coefficients, coefficients])
            intercepts = np.concatenate([-intercepts, intercepts])
        yield coefficients, intercepts


def _path(
    x: Matrix, positive: NDArray[np.bool_], mixing: float, strengths: Sequence[float]
) -> Iterator[tuple[Matrix, float]]:
    """Two-class fits from strong to weak penalties, each starting from the one before."""
    weights = compute_sample_weight("balanced", positive)
    # Classes are balanced: without any feature everybody's probability is one half.
    slopes = (weights * (positive - 0.5)) @ x / len(x)
    strongest = np.abs(slopes).max() / mixing
    fitted = np.zeros(x.shape[1]), 0.0
    for strength in strengths:
        fitted = _screened(x, positive, weights, strength * strongest, mixing, fitted)
        yield fitted


def _screened(
    x: Matrix,
    positive: NDArray[np.bool_],
    weights: Matrix,
    penalty: float,
    mixing: float,
    start: tuple[Matrix, float],
) -> tuple[Matrix, float]:
    """:func:`_elastic_net` over those features alone that get a coefficient, which are few.

    At the minimum the loss rises along a feature without one by no more than the L1 penalty; whose
    slope is steeper joins, until none is left. Source: Tibshirani et al., "Strong rules for
    discarding predictors in lasso-type problems", J. R. Stat. Soc. B 2012, section 7.
    """
    coefficients, intercept = start
    kept = coefficients != 0
    kept |= _steep(x, positive, weights, start) > penalty * mixing
    while kept.any():
        among = coefficients[kept], intercept
        few, intercept = _elastic_net(x[:, kept], positive, weights, penalty, mixing, among)
        coefficients = np.zeros_like(coefficients)
        coefficients[kept] = few
        slopes = _steep(x, positive, weights, (coefficients, intercept))
        joining = ~kept & (slopes > penalty * mixing * _SLACK)
        if not joining.any():
            break
        kept |= joining
    return coefficients, intercept


def _steep(
    x: Matrix, positive: NDArray[np.bool_], weights: Matrix, fitted: tuple[Matrix, float]
) -> Matrix:
    """How steeply mean(weights * log-loss) changes along each feature, [d]."""
    coefficients, intercept = fitted
    found = np.flatnonzero(coefficients)
    answers = expit(x[:, found] @ coefficients[found] + intercept)
    slopes: Matrix = np.abs((weights * (positive - answers)) @ x) / len(x)
    return slopes


def _elastic_net(
    x: Matrix,
    positive: NDArray[np.bool_],
    weights: Matrix,
    penalty: float,
    mixing: float,
    start: tuple[Matrix, float],
) -> tuple[Matrix, float]:
    """Minimise mean(weights * log-loss) + penalty * (mixing |b|_1 + (1 - mixing) |b|^2 / 2).

    Newton steps, each a weighted least-squares problem solved by coordinate descent.
    Source: Friedman, Hastie & Tibshirani, "Regularization paths for generalized linear models
    via coordinate descent", J. Stat. Softw. 2010, section 3.
    """
    coefficients, intercept = start
    x = np.asfortranarray(x)  # as coordinate descent reads it
    for _ in range(_NEWTON_STEPS):
        before = coefficients
        response, curvature = _working_response(x @ coefficients + intercept, positive)
        curvature = weights * curvature
        centre = curvature @ x / curvature.sum()
        mean = curvature @ response / curvature.sum()
        root = np.sqrt(curvature)
        _, path, _ = enet_path(
            np.asfortranarray((x - centre) * root[:, None]),
            (response - mean) * root,
            l1_ratio=mixing,
            alphas=[penalty],
            coef_init=before.copy(),  # it is overwritten
            tol=_TOLERANCE,
            max_iter=_PASSES,
            precompute=False,
            copy_X=False,
            check_input=False,
        )
        coefficients = path[:, 0]
        intercept = float(mean - centre @ coefficients)
        if np.abs(coefficients - before).max() < _TOLERANCE:
            break
    return coefficients, intercept


def _working_response(logits: Matrix, positive: NDArray[np.bool_]) -> tuple[Matrix, Matrix]:
    """Response and curvature of the least-squares problem that touches the log-loss, [n] each."""
    probability = expit(logits)
    curvature = np.maximum(probability * (1 - probability), _SMALLEST_CURVATURE)
    return logits + (positive - probability) / curvature, curvature
