"""Calibration of more than two classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from histodistill.calibration.calibrator import Floats

# Probabilities are read no closer to 0 than this: their logarithms stay finite.
_EDGE = 1e-6
# Fewer patients of a class than this cannot tell a temperature: only the levels are mended.
_LEAST_FOR_A_TEMPERATURE = 10


class ClassCalibrator:
    """``p' = softmax(a log p + b)``, one a > 0 for all classes and a b for each.

    Source: Alexandari, Kundaje & Shrikumar, "Maximum likelihood with bias-corrected calibration
    is hard-to-beat at label shift adaptation", ICML 2020: temperature scaling (Guo et al., ICML
    2017) with a bias a class, which mends the levels that balanced sampling leaves wrong. Labels
    are smoothed as Platt's (1 / (n + C) each), which keeps the biases finite.

    Args:
        slope: a, one over the temperature.
        biases: b [C]; their mean is 0.
    """

    name = "temperature"

    def __init__(self, slope: float, biases: npt.ArrayLike) -> None:
        self.slope = slope
        self.biases = np.asarray(biases, dtype=np.float64)

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """Fit on held-out patients of every class.

        Args:
            y: [n], class indices.
            p: [n, C], class probabilities.
        """
        known, logs = np.asarray(y, dtype=np.int64), _logarithms(p)
        n, classes = logs.shape
        targets = (np.eye(classes)[known] * n + 1) / (n + classes)
        free = np.bincount(known, minlength=classes).min() >= _LEAST_FOR_A_TEMPERATURE

        def loss(values: Floats) -> tuple[float, Floats]:
            scaled = values[0] * logs + values[1:]
            error = softmax(scaled, axis=1) - targets
            slope = float((error * logs).sum()) if free else 0.0
            gradient = np.array([slope, *error.sum(axis=0)])
            return float(-(targets * log_softmax(scaled, axis=1)).sum()), gradient

        bounds = [(0.0, None), *[(None, None)] * classes]
        start = np.array([1.0, *np.zeros(classes)])
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
        return cls(float(found[0]), found[1:] - found[1:].mean())

    def transform(self, p: npt.ArrayLike) -> Floats:
        """Calibrated probabilities [n, C] of probabilities [n, C]; NaN stays."""
        return np.asarray(softmax(self.slope * _logarithms(p) + self.biases, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Slope and biases."""
        return {"slope": self.slope, "biases": self.biases.tolist()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
        return cls(float(values["slope"]), values["biases"])


def _logarithms(p: npt.ArrayLike) -> Floats:
    return np.log(np.clip(np.asarray(p, dtype=np.float64), _EDGE, 1.0))
