"""Calibration and triage out of fold: chosen on some folds, judged on the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import beta

from histodistill.calibration.calibrators import CalibratorName, Floats, fit_calibrator
from histodistill.calibration.triage import TriagePolicy, TriageRule, fit_triage
from histodistill.errors import InputError
from histodistill.evaluation.answers import Answers
from histodistill.evaluation.calibration_line import calibration_line
from histodistill.evaluation.metrics import brier, calibration_error
from histodistill.evaluation.runs import Runs


@dataclass(frozen=True)
class OutOfFoldTriage:
    """A triage rule, and what it did to patients whom it was not chosen on.

    Attributes:
        rule: Chosen on everybody: the one to use.
        answers: For each patient the answer of the rule that was chosen on the other folds; None
            where the other folds are too few to choose one.
        summary: Figures of ``answers``: shares with exact 95 % intervals, columns ``figure``,
            ``value``, ``low``, ``high``, ``patients``, ``of``; None where there are no answers.
        note: Why there are no answers; empty where there are.
    """

    rule: TriageRule
    answers: list[str] | None
    summary: pd.DataFrame | None
    note: str = ""


def triage_out_of_fold(
    policy: TriagePolicy, y: npt.ArrayLike, p: npt.ArrayLike, fold: npt.ArrayLike
) -> OutOfFoldTriage:
    """Choose a rule, and see what rules chosen on the other folds do to each fold.

    Args:
        policy: What may go wrong, and how often.
        y: [n], 1 for positive patients, otherwise 0.
        p: [n], their out-of-fold probability of the positive class.
        fold: [n], the fold in which each was tested.

    Raises:
        InputError: The policy cannot be certified by these patients.
    """
    known, values, folds = np.asarray(y).astype(bool), np.asarray(p), np.asarray(fold)
    rule = fit_triage(policy, known, values)
    answers = np.empty(len(values), dtype=object)
    for number in np.unique(folds):
        here = folds == number
        try:
            answers[here] = fit_triage(policy, known[~here], values[~here]).answers(values[here])
        except InputError as error:
            note = f"not checked on patients that the rule was not chosen on: {error}"
            return OutOfFoldTriage(rule, None, None, note)
    return OutOfFoldTriage(rule, answers.tolist(), _summary(answers, known))


def _summary(answers: npt.NDArray[np.object_], known: npt.NDArray[np.bool_]) -> pd.DataFrame:
    negative, positive = answers == "negative", answers == "positive"
    released = negative | positive
    shares = {
        "spared the test": (released, np.ones_like(known)),
        "positive patients called negative": (negative & known, known),
        "negative patients called positive": (positive & ~known, ~known),
        "called positive who are positive (PPV)": (positive & known, positive),
        "called negative who are negative (NPV)": (negative & ~known, negative),
    }
    rows = []
    for figure, (hit, among) in shares.items():
        patients, of = int(hit.sum()), int(among.sum())
        low, high = exact_interval(patients, of)
        value = patients / of if of else float("nan")
        rows.append((figure, value, low, high, patients, of))
    return pd.DataFrame(rows, columns=["figure", "value", "low", "high", "patients", "of"])


def exact_interval(hits: int, of: int) -> tuple[float, float]:
    """Clopper-Pearson's two-sided 95 % interval of a share; all of 0 to 1 where nobody is asked."""
    low = float(beta.ppf(0.025, hits, of - hits + 1)) if hits else 0.0
    high = float(beta.ppf(0.975, hits + 1, of - hits)) if hits < of else 1.0
    return low, high


def calibration_out_of_fold(
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    fold: npt.ArrayLike,
    names: tuple[CalibratorName, ...] = ("none", "platt", "beta"),
) -> pd.DataFrame:
    """How well probabilities are calibrated, as they are and after calibration on the other folds.

    Args:
        y: [n], 1 for positive patients, otherwise 0.
        p: [n], their out-of-fold probability of the positive class.
        fold: [n], the fold in which each was tested.
        names: Calibrators; ``none`` leaves the probabilities as they are.

    Returns:
        A row a calibrator: ``calibrator``, ``ece`` (10 bins of equal width), ``brier``, ``slope``
        and ``intercept`` of the label's log odds on those of the probability (1 and 0 are right;
        the intercept at slope 1).
    """
    known, values, folds = np.asarray(y).astype(int), np.asarray(p), np.asarray(fold)
    rows = []
    for name in names:
        calibrated = values.astype(np.float64)
        for number in np.unique(folds):
            here = folds == number
            calibrator = fit_calibrator(name, known[~here], values[~here])
            if calibrator is not None:
                calibrated[here] = calibrator.transform(values[here])
        rows.append({"calibrator": name, **_measured(known, calibrated)})
    return pd.DataFrame(rows)


def _measured(y: npt.NDArray[np.int64], p: Floats) -> dict[str, float]:
    answers = Answers.two_class(y, p)
    everybody = np.ones((1, len(p)))
    line = calibration_line(Runs.joined([answers], answers.classes, 1))
    return {
        "ece": float(calibration_error(answers, everybody)[0]),
        "brier": float(brier(answers, everybody)[0]),
        "slope": line.slope,
        "intercept": line.intercept,
    }
