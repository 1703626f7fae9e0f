"""The calibrator of one network: chosen, fitted on held-out patients, and stored as plain JSON."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, FiniteFloat, NonNegativeInt, model_validator

from histodistill.calibration.calibrator import Calibrator, CalibratorName, Floats
from histodistill.calibration.calibrators import CALIBRATORS, LEAST_FOR_ISOTONIC, fit_calibrator
from histodistill.calibration.class_calibrator import ClassCalibrator
from histodistill.settings import Settings

ChosenCalibrator = Literal["auto", "none", "platt", "beta", "isotonic", "venn-abers"]

# From so many patients, and so many of the rarer class, beta's third number is worth its chance.
LEAST_FOR_BETA = 300
LEAST_OF_A_CLASS_FOR_BETA = 50

# A staircase has a corner a patient; more than this is no file of ours.
_MOST_VALUES = 1_000_000
_Numbers = Annotated[list[FiniteFloat], Field(max_length=_MOST_VALUES)]


class CalibrationSettings(Settings):
    """How probabilities are calibrated: for each network, on its validation patients alone.

    The probability that a network gives stays beside the calibrated one, and calls are made by it.

    Attributes:
        method: ``platt`` (slope and intercept of the log odds), ``beta`` (one number more),
            ``isotonic`` (a staircase; needs 100 validation patients), ``venn-abers`` (two
            staircases, merged), ``none``, or ``auto``: ``platt``, and ``beta`` from 300 validation
            patients with 50 of each class. Targets of more than two classes are calibrated by a
            temperature and a bias a class (``auto``).
    """

    method: ChosenCalibrator = "auto"


class NetworkCalibrator(Settings):
    """A fitted calibrator, and whom it was fitted on.

    Attributes:
        name: ``platt``, ``beta``, ``isotonic``, ``venn-abers``, ``temperature`` (beyond two
            classes), or ``none``, which leaves nothing to say.
        values: Its numbers.
        patients: Patients of each class whom it was fitted on.
        note: Why there is none, where one was asked for.
    """

    name: CalibratorName | Literal["temperature"]
    values: dict[str, FiniteFloat | _Numbers] = Field(default_factory=dict)
    patients: tuple[NonNegativeInt, ...] = Field(min_length=2)
    note: str = ""

    @model_validator(mode="after")
    def _is_a_calibrator(self) -> NetworkCalibrator:
        try:
            probe = self.transform(np.full((3, len(self.patients)), [[0.0], [0.5], [1.0]]), 1)
        except (KeyError, TypeError, IndexError, ValueError) as error:
            raise ValueError(f"no calibrator {self.name}: {type(error).__name__}") from error
        inside = np.isfinite(probe).all() and (probe >= 0).all() and (probe <= 1).all()
        if self.name != "none" and not inside:
            raise ValueError(f"a calibrator {self.name} that gives no probabilities")
        return self

    def transform(self, probabilities: Floats, positive: int | None) -> Floats:
        """Calibrated class probabilities.

        Args:
            probabilities: [n, C] of n patients; NaN stays.
            positive: Which of two classes is positive; None beyond two.

        Returns:
            [n, C]; NaN everywhere where there is no calibrator.
        """
        if self.name == "none":
            return np.full(probabilities.shape, np.nan)
        if self.name == "temperature":
            return ClassCalibrator.from_dict(self.values).transform(probabilities)
        assert positive is not None
        calibrated = self._of_two.transform(probabilities[:, positive])
        columns = [1 - calibrated, calibrated] if positive == 1 else [calibrated, 1 - calibrated]
        return np.column_stack(columns)

    @property
    def _of_two(self) -> Calibrator:
        return CALIBRATORS[self.name].from_dict(self.values)  # type: ignore[index]

    def sentence(self, classes: tuple[str, ...]) -> str:
        """What was fitted on whom."""
        counted = ", ".join(f"{n} {name}" for n, name in zip(self.patients, classes, strict=True))
        if self.name == "none":
            return f"not calibrated{f': {self.note}' if self.note else ''}"
        return f"calibrated by {self.name} on {sum(self.patients)} held-out patients ({counted})"


def calibrate_network(
    settings: CalibrationSettings,
    y: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    positive: int | None,
) -> NetworkCalibrator:
    """Fit a calibrator to the answers of a network to patients whom it was not trained with.

    Args:
        settings: Which calibrator.
        y: [n], class indices.
        probabilities: [n, C]; patients whom the network cannot answer (NaN) are left out.
        positive: Which of two classes is positive; None beyond two.

    Returns:
        The calibrator; ``none``, with a note, where these patients cannot tell one.
    """
    given = np.asarray(probabilities, dtype=np.float64)
    able = ~np.isnan(given).any(axis=1)
    known, given = np.asarray(y, dtype=np.int64)[able], given[able]
    counts = tuple(int(n) for n in np.bincount(known, minlength=given.shape[1]))
    if settings.method == "none":
        return NetworkCalibrator(name="none", patients=counts)
    if min(counts) == 0:
        note = f"a class has none of its {sum(counts)} validation patients"
        return NetworkCalibrator(name="none", patients=counts, note=note)
    if positive is None:
        fitted = ClassCalibrator.fit(known, given)
        return NetworkCalibrator(name="temperature", values=fitted.to_dict(), patients=counts)
    name = _chosen(settings.method, counts)
    calibrator = fit_calibrator(name, known == positive, given[:, positive])
    assert calibrator is not None
    return NetworkCalibrator(name=name, values=calibrator.to_dict(), patients=counts)


def _chosen(method: ChosenCalibrator, counts: tuple[int, ...]) -> CalibratorName:
    if method != "auto":
        return method
    many = sum(counts) >= LEAST_FOR_BETA and min(counts) >= LEAST_OF_A_CLASS_FOR_BETA
    return "beta" if many else "platt"


def too_few_patients(settings: CalibrationSettings, n_patients: int) -> str | None:
    """Why so few validation patients cannot tell the calibrator that is asked for, if so."""
    if settings.method != "isotonic" or n_patients >= LEAST_FOR_ISOTONIC:
        return None
    return (
        f"`calibration.method: isotonic` needs {LEAST_FOR_ISOTONIC} validation patients and there "
        f"are {n_patients}; take auto, platt, beta or venn-abers"
    )
