"""Calibration and triage out of fold: chosen on some folds, judged on the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import betaincinv

from histodistill.calibration.calibrator import CalibratorName, Floats
from histodistill.calibration.hospitals import Groups
from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.calibration.triage import Costs, TriagePolicy, TriageRule, fit_triage
from histodistill.errors import InputError, listed
from histodistill.evaluation.answers import Answers
from histodistill.evaluation.calibration_figures import error_scores
from histodistill.evaluation.calibration_line import calibration_line
from histodistill.evaluation.runs import Runs


@dataclass(frozen=True)
class OutOfFoldTriage:
    """A triage rule, and what it did to patients whom it was not chosen on.

    Attributes:
        rule: Chosen on everybody: the one to use.
        answers: For each patient the answer of the rule that was chosen on the other folds, which
            is to send to IHC where they certify none; None where those of no fold do.
        summary: Figures of ``answers``: shares with exact 95 % intervals, columns ``figure``,
            ``value``, ``low``, ``high``, ``patients``, ``of``; None where there are no answers.
        note: Which folds have no rule, and why; empty where all have one.
    """

    rule: TriageRule
    answers: list[str] | None
    summary: pd.DataFrame | None
    note: str = ""


def triage_out_of_fold(
    policy: TriagePolicy,
    y: npt.ArrayLike,
    p: npt.ArrayLike,
    fold: npt.ArrayLike,
    hospital: Groups | None = None,
) -> OutOfFoldTriage:
    """Choose a rule, and see what rules chosen on the other folds do to each fold.

    Args:
        policy: What may go wrong, and how often.
        y: [n], 1 for positive patients, otherwise 0.
        p: [n], their out-of-fold probability of the positive class.
        fold: [n], the fold in which each was tested.
        hospital: [n], the hospital of each by number, for a promise to patients of other
            hospitals; None for patients like these.

    Raises:
        InputError: The policy cannot be certified by these patients.
    """
    known, values, folds = np.asarray(y).astype(bool), np.asarray(p), np.asarray(fold)
    rule = fit_triage(policy, known, values, hospital)
    answers = np.full(len(values), "send to IHC", dtype=object)
    refused: dict[int, str] = {}
    for number in np.unique(folds):
        here = folds == number
        others = None if hospital is None else hospital[~here]
        try:
            chosen = fit_triage(policy, known[~here], values[~here], others)
        except InputError as error:
            refused[int(number)] = str(error)
        else:
            answers[here] = chosen.answers(values[here])
    if len(refused) == len(np.unique(folds)):
        return OutOfFoldTriage(rule, None, None, _unchecked(refused))
    summary = _summary(answers, known)
    if policy.costs is not None:
        summary = pd.concat([summary, mean_costs(policy.costs, answers, known)])
    note = _withheld(refused) if refused else ""
    return OutOfFoldTriage(rule, answers.tolist(), summary.reset_index(drop=True), note)


def _unchecked(refused: Mapping[int, str]) -> str:
    why = next(iter(refused.values()))
    return f"not checked on patients that the rule was not chosen on: {why}"


def _withheld(refused: Mapping[int, str]) -> str:
    why = next(iter(refused.values()))
    return (
        f"the patients of fold {listed(list(map(str, refused)))} are all sent to IHC, since the "
        f"other folds cannot certify the policy: {why}"
    )


def mean_costs(costs: Costs, answers: npt.ArrayLike, positive: npt.ArrayLike) -> pd.DataFrame:
    """What answers cost a patient, and what they save against sending everybody to IHC.

    Args:
        costs: The unit costs.
        answers: [n], the answer to each patient.
        positive: [n], whether each is positive.

    Returns:
        Two rows with the columns of a triage summary; the intervals are normal (mean of n
        independent costs).
    """
    given, known = np.asarray(answers), np.asarray(positive).astype(bool)
    paid = np.where(given == "send to IHC", costs.ihc, 0.0)
    paid = np.where((given == "negative") & known, costs.missed, paid)
    paid = np.where((given == "positive") & ~known, costs.false_alarm, paid)
    mean, n = float(paid.mean()), len(paid)
    reach = 1.96 * float(paid.std(ddof=1)) / math.sqrt(n) if n > 1 else float("nan")
    saved = costs.ihc - mean
    rows = [
        ("cost of a patient", mean, mean - reach, mean + reach, n, n),
        ("saved of a patient against IHC for all", saved, saved - reach, saved + reach, n, n),
    ]
    return pd.DataFrame(rows, columns=["figure", "value", "low", "high", "patients", "of"])


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
    low = float(betaincinv(hits, of - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, of - hits, 0.975)) if hits < of else 1.0
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
    known, values = np.asarray(y).astype(int), np.asarray(p, dtype=np.float64)
    rows = []
    for name in names:
        calibrated = values
        if name != "none":
            settings = CalibrationSettings.model_validate({"method": name})
            calibrated = calibrated_out_of_fold(known, values, fold, settings)
        rows.append({"calibrator": name, **_measured(known, calibrated)})
    return pd.DataFrame(rows)


def calibrated_out_of_fold(
    y: npt.ArrayLike, p: npt.ArrayLike, fold: npt.ArrayLike, settings: CalibrationSettings
) -> Floats:
    """Probabilities [n], those of each fold calibrated on the other folds.

    Args:
        y: [n], 1 for positive patients, otherwise 0.
        p: [n], their probability of the positive class.
        fold: [n], the fold of each.
        settings: Which calibrator.

    Raises:
        InputError: The other folds of one cannot tell a calibrator.
    """
    known, values, folds = np.asarray(y).astype(int), np.asarray(p), np.asarray(fold)
    calibrated = np.empty(len(values))
    both = np.column_stack([1 - values, values])
    for number in np.unique(folds):
        here = folds == number
        calibrator = calibrate_network(settings, known[~here], both[~here], 1)
        if calibrator.name == "none":
            raise InputError(f"fold {number} cannot be calibrated on the others: {calibrator.note}")
        calibrated[here] = calibrator.transform(both[here], 1)[:, 1]
    return calibrated


def _measured(y: npt.NDArray[np.int64], p: Floats) -> dict[str, float]:
    answers = Answers.two_class(y, p)
    runs = Runs.joined([answers], answers.classes, 1)
    return error_scores(runs) | calibration_line(runs)._asdict()
