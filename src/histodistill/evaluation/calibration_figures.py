"""How well probabilities are calibrated, as they are given and after calibration.

The Brier score is decomposed without bins (CORP: Dimitriadis, Gneiting & Jordan, "Stable
reliability diagrams for probabilistic classifiers", PNAS 118 (2021) e2016191118): with the
probabilities that isotonic regression would give instead, ``brier = miscalibration -
discrimination + uncertainty`` exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from histodistill.evaluation.answers import Answers
from histodistill.evaluation.calibration_line import CalibrationLine, calibration_line
from histodistill.evaluation.intervals import bootstrap_metrics, percentile_interval
from histodistill.evaluation.layout import as_calibrated, networks_in
from histodistill.evaluation.parts import Part, parts
from histodistill.evaluation.runs import Runs

GIVEN, CALIBRATED = "as given", "calibrated"


class BrierParts(NamedTuple):
    """The Brier score of two classes and its parts; NaN beyond two classes.

    Attributes:
        miscalibration: What a better map of the same probabilities would gain; 0 is right.
        discrimination: What the probabilities gain on the share of positive patients alone.
        uncertainty: The score of that share, for everybody.
    """

    miscalibration: float = float("nan")
    discrimination: float = float("nan")
    uncertainty: float = float("nan")


RESAMPLES = 200
SCORES = ("ece", "brier", "brier_low", "brier_high")
COLUMNS = (
    "target",
    "method",
    "network",
    "probabilities",
    "n_patients",
    "n_positive",
    *CalibrationLine._fields,
    *SCORES,
    *BrierParts._fields,
)


def calibration_figures(predictions: pd.DataFrame) -> pd.DataFrame:
    """Calibration of every target, method and network, the mean over runs.

    Args:
        predictions: A checked predictions table.

    Returns:
        A row for the probabilities ``as given``, and one for those ``calibrated`` where the table
        has them, with ``COLUMNS``: slope and intercept as ``calibration_line`` gives them, expected
        calibration error (10 bins of equal width), Brier score with its interval, and its parts.
    """
    records = []
    for part in parts(predictions):
        records.append(_record(part, GIVEN))
        calibrated = as_calibrated(part.rows)
        if part.network in networks_in(calibrated):
            records.append(_record(part._replace(rows=calibrated), CALIBRATED))
    return pd.DataFrame(records, columns=list(COLUMNS))


def brier_parts(answers: Answers) -> BrierParts:
    """Miscalibration, discrimination and uncertainty of the answers to two classes."""
    from sklearn.isotonic import IsotonicRegression

    if not answers.binary or not len(answers):
        return BrierParts()
    y, p = (answers.y == 1).astype(np.float64), answers.positive
    best = IsotonicRegression(y_min=0, y_max=1).fit_transform(p, y)
    score, of_best = float(((p - y) ** 2).mean()), float(((best - y) ** 2).mean())
    uncertainty = float(((y.mean() - y) ** 2).mean())
    return BrierParts(score - of_best, uncertainty - of_best, uncertainty)


def _record(part: Part, probabilities: str) -> dict[str, object]:
    runs = part.runs()
    return {
        "target": part.target,
        "method": part.method,
        "network": part.network,
        "probabilities": probabilities,
        "n_patients": len(runs),
        "n_positive": int(runs.counts[1]) if runs.binary else pd.NA,
        **calibration_line(runs)._asdict(),
        **_scores(runs),
    }


def error_scores(runs: Runs) -> dict[str, float]:
    """Expected calibration error and Brier score, the mean over runs.

    The score has a percentile bootstrap of patients. The error has no interval: that of a resample
    is biased upwards, and neither the percentile nor the mirrored (pivotal) bootstrap covers what
    it says where probabilities are right.

    Returns:
        ``SCORES``; NaN where nobody is answered.
    """
    if not len(runs):
        return dict.fromkeys(SCORES, float("nan"))
    whole = runs.metrics(np.ones((1, len(runs))), ("ece", "brier"))
    drawn = bootstrap_metrics(runs, RESAMPLES, metrics=("brier",))["brier"]
    figures = (whole["ece"][0], whole["brier"][0], *percentile_interval(drawn))
    return {name: float(value) for name, value in zip(SCORES, figures, strict=True)}


def _scores(runs: Runs) -> dict[str, float]:
    """ECE, Brier score with its interval, and its parts, the mean over runs."""
    means = pd.DataFrame([brier_parts(run)._asdict() for run in runs.runs]).mean()
    return error_scores(runs) | {str(name): float(value) for name, value in means.items()}
