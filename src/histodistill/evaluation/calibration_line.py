"""Calibration slope and intercept: whether the probabilities are too extreme, or too high.

B. Van Calster et al., "Calibration: the Achilles heel of predictive analytics", BMC Medicine 17
(2019) 230. The slope is that of the logistic regression of the outcome on the logit of the
probability: 1 is right, below 1 the probabilities are too extreme. The intercept is that of the
regression with the slope held at 1 (calibration in the large): 0 is right, below 0 the
probabilities are too high.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logit, ndtri

from histodistill.evaluation.answers import Answers, FloatArray
from histodistill.evaluation.runs import Runs

LEAST = 1e-6
"""Probabilities are held this far from 0 and 1, whose logits are infinite."""

_REACH = float(ndtri(0.975))


class CalibrationLine(NamedTuple):
    """Slope and intercept with their 95 % intervals; NaN where they do not exist."""

    slope: float = float("nan")
    slope_low: float = float("nan")
    slope_high: float = float("nan")
    intercept: float = float("nan")
    intercept_low: float = float("nan")
    intercept_high: float = float("nan")


def calibration_line(runs: Runs) -> CalibrationLine:
    """Slope and intercept of two classes, the mean over runs.

    The intervals are normal, with the variance of the patients' influence (the sandwich), so that
    several runs on the same patients do not count as more patients. All is NaN beyond two classes,
    where a class has no patient, where the probabilities are all equal, and where they part the
    classes without an error, which gives an infinite slope.
    """
    if not runs.binary or not len(runs) or runs.missing_classes():
        return CalibrationLine()
    if any(_has_no_slope(run) for run in runs.runs):
        return CalibrationLine()
    place = {name: i for i, name in enumerate(runs.patients)}
    found = np.zeros(2)
    moved = np.zeros((len(runs), 2))
    for run in runs.runs:
        rows = [place[name] for name in run.patients]
        z = logit(np.clip(run.positive, LEAST, 1 - LEAST))
        y = run.y.astype(np.float64)
        sloped = _regression(np.column_stack([z, np.ones_like(z)]), np.zeros_like(z), y)
        level = _regression(np.ones((len(z), 1)), z, y)
        found += np.array([sloped[0][0], level[0][0]]) / len(runs.runs)
        moved[rows] += np.column_stack([sloped[1][:, 0], level[1][:, 0]]) / len(runs.runs)
    error = np.sqrt((moved**2).sum(axis=0) * len(runs) / (len(runs) - 1))
    ends = [(v, v - _REACH * e, v + _REACH * e) for v, e in zip(found, error, strict=True)]
    return CalibrationLine(*(float(value) for end in ends for value in end))


def _has_no_slope(run: Answers) -> bool:
    of_cases, of_others = run.positive[run.y == 1], run.positive[run.y == 0]
    apart = of_cases.min() >= of_others.max() or of_cases.max() <= of_others.min()
    return bool(apart)


def _regression(x: FloatArray, offset: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients [k] of the logistic regression of y, and each patient's influence [n, k]."""

    def loss(beta: FloatArray) -> float:
        z = x @ beta + offset
        return float((np.logaddexp(0, z) - y * z).sum())

    def slope(beta: FloatArray) -> FloatArray:
        return np.asarray(x.T @ (expit(x @ beta + offset) - y))

    def bend(beta: FloatArray) -> FloatArray:
        p = expit(x @ beta + offset)
        return np.asarray((x * (p * (1 - p))[:, None]).T @ x)

    best = minimize(loss, np.zeros(x.shape[1]), jac=slope, hess=bend, method="trust-exact").x
    residual = y - expit(x @ best + offset)
    return best, np.asarray(np.linalg.solve(bend(best), (x * residual[:, None]).T).T)
