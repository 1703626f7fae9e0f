"""Calibrators of two classes: from what a network gives to a probability that means what it says.

Each is fitted on patients who took no part in training, is monotone (the order of the patients, and
so the AUC, stays), and is stored as plain numbers.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from histodistill.calibration.calibrator import Calibrator, CalibratorName, Floats
from histodistill.calibration.venn_abers import VennAbersCalibrator

# Probabilities are read no closer to 0 and 1 than this: their log odds stay finite.
_EDGE = 1e-6
# Fewer patients of a class than this cannot tell a slope: only the level is mended.
LEAST_FOR_A_SLOPE = 10
# A staircase needs many patients, or it repeats their chance.
LEAST_FOR_ISOTONIC = 100


class PlattCalibrator(Calibrator):
    """``p' = expit(a logit(p) + b)``, a >= 0.

    Source: Platt 1999, with the log odds as score and the targets of section 2.2,
    ``(N+ + 1) / (N+ + 2)`` and ``1 / (N- + 2)``, which keep slopes finite. With
    fewer than ten patients of a class, or where the slope would invert the order, a is 1: only the
    level is mended.

    Args:
        slope: a.
        intercept: b.
    """

    name: ClassVar[CalibratorName] = "platt"

    def __init__(self, slope: float, intercept: float) -> None:
        self.slope = slope
        self.intercept = intercept

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """See :meth:`Calibrator.fit`."""
        positive = np.asarray(y).astype(bool)
        odds = _log_odds(p)
        targets = _smoothed(positive)
        if min(positive.sum(), (~positive).sum()) >= LEAST_FOR_A_SLOPE:
            (slope,), intercept = _logistic(odds[:, None], targets)
            if slope > 0:
                return cls(slope, intercept)
        return cls(1.0, _level(odds, targets))

    def transform(self, p: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.transform`."""
        return np.asarray(expit(self.slope * _log_odds(p) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """Slope and intercept."""
        return {"slope": self.slope, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
        return cls(float(values["slope"]), float(values["intercept"]))


class BetaCalibrator(Calibrator):
    """``p' = expit(a ln p - b ln(1 - p) + c)``, a, b >= 0.

    Source: Kull, Silva Filho & Flach, AISTATS 2017, eq. 4. It bends where Platt's is straight, so
    that probabilities which are right already can stay.

    Args:
        low: a.
        high: b.
        intercept: c.
    """

    name: ClassVar[CalibratorName] = "beta"

    def __init__(self, low: float, high: float, intercept: float) -> None:
        self.low = low
        self.high = high
        self.intercept = intercept

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """See :meth:`Calibrator.fit`; a factor that would be negative is 0, as in the source."""
        positive = np.asarray(y).astype(bool)
        inputs, targets = _logarithms(p), _smoothed(positive)
        if min(positive.sum(), (~positive).sum()) < LEAST_FOR_A_SLOPE:
            return cls(1.0, 1.0, _level(inputs.sum(axis=1), targets))
        (low, high), intercept = _logistic(inputs, targets)
        if low < 0 or high < 0:
            kept = 1 if low < high else 0
            (factor,), intercept = _logistic(inputs[:, [kept]], targets)
            factors = [0.0, 0.0]
            factors[kept] = max(factor, 0.0)
            low, high = factors
        return cls(low, high, intercept)

    def transform(self, p: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.transform`."""
        return np.asarray(expit(_logarithms(p) @ [self.low, self.high] + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        """The three numbers."""
        return {"low": self.low, "high": self.high, "intercept": self.intercept}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
        return cls(float(values["low"]), float(values["high"]), float(values["intercept"]))


class IsotonicCalibrator(Calibrator):
    """The best staircase (Zadrozny & Elkan, KDD 2002), by scikit-learn, between its corners linear.

    Args:
        corners: Probabilities where it bends, ascending [k].
        values: What they become, ascending [k].
    """

    name: ClassVar[CalibratorName] = "isotonic"

    def __init__(self, corners: npt.ArrayLike, values: npt.ArrayLike) -> None:
        self._corners = np.asarray(corners, dtype=np.float64)
        self._values = np.asarray(values, dtype=np.float64)

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """See :meth:`Calibrator.fit`."""
        from sklearn.isotonic import IsotonicRegression

        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p, y)
        return cls(fitted.X_thresholds_, fitted.y_thresholds_)

    def transform(self, p: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.transform`."""
        return np.asarray(np.interp(np.asarray(p, np.float64), self._corners, self._values))

    def to_dict(self) -> dict[str, Any]:
        """Corners and values."""
        return {"corners": self._corners.tolist(), "values": self._values.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
        return cls(values["corners"], values["values"])


CALIBRATORS: dict[CalibratorName, type[Calibrator]] = {
    kind.name: kind
    for kind in (PlattCalibrator, BetaCalibrator, IsotonicCalibrator, VennAbersCalibrator)
}


def fit_calibrator(name: CalibratorName, y: npt.ArrayLike, p: npt.ArrayLike) -> Calibrator | None:
    """Fit the calibrator of a name; None for ``none``.

    Raises:
        ValueError: One class alone, or too few patients for a staircase.
    """
    if name == "none":
        return None
    known = np.asarray(y).astype(bool)
    if known.all() or not known.any():
        raise ValueError(
            f"the {len(known)} patients to calibrate on have one class alone; calibrate on more"
        )
    if name == "isotonic" and len(known) < LEAST_FOR_ISOTONIC:
        raise ValueError(
            f"isotonic calibration needs {LEAST_FOR_ISOTONIC} patients and has {len(known)}; "
            "take platt, beta or venn-abers"
        )
    return CALIBRATORS[name].fit(y, p)


def _log_odds(p: npt.ArrayLike) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)))


def _logarithms(p: npt.ArrayLike) -> Floats:
    clipped = np.clip(np.asarray(p, np.float64), _EDGE, 1 - _EDGE)
    return np.stack([np.log(clipped), -np.log1p(-clipped)], axis=1)


def _smoothed(positive: npt.NDArray[np.bool_]) -> Floats:
    """Platt's targets: how sure one may be of a label, given how many there are."""
    n_positive, n_negative = int(positive.sum()), int((~positive).sum())
    return np.where(positive, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))


def _logistic(inputs: Floats, targets: Floats) -> tuple[list[float], float]:
    """Logistic regression without a penalty, of soft targets: each patient counts as both."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(
        np.concatenate([inputs, inputs]),
        np.repeat([1, 0], len(targets)),
        sample_weight=np.concatenate([targets, 1 - targets]),
    )
    return fitted.coef_[0].tolist(), float(fitted.intercept_[0])


def _level(offset: Floats, targets: Floats) -> float:
    """The b for which the mean of ``expit(offset + b)`` is that of the targets."""
    from scipy.optimize import brentq

    wanted = targets.mean()
    bound = float(np.abs(offset).max()) + 30
    return float(brentq(lambda b: expit(offset + b).mean() - wanted, -bound, bound))
