"""The results of a run, printed in short."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from histodistill.calibration.columns import uncalibrated
from histodistill.cli.console import answer, say_notes, show, with_interval
from histodistill.evaluation import calibration_figures, evaluate
from histodistill.evaluation.calibration_figures import CALIBRATED
from histodistill.evaluation.summary import OF_FOLDS, WARNING


def show_aucs(predictions: pd.DataFrame, *, external: bool = False) -> None:
    """Print the AUC of every network of every method, and where not to rely on it.

    A script gets all metrics.

    Args:
        predictions: A checked predictions table.
        external: Whether one model predicted all patients, so that nothing is of folds.
    """
    summary = evaluate(predictions).summary
    answer(results=summary.drop(columns=OF_FOLDS) if external else summary)
    aucs = summary[summary["metric"] == "auc"]
    of_all = zip(aucs["estimate"], aucs["low"], aucs["high"], strict=True)
    shown = aucs[["target", "method", "network"]]
    if not external:
        of_folds = zip(aucs["mean"], aucs["sd"], strict=True)
        shown = shown.assign(**{"mean of folds": [_with_spread(m, sd) for m, sd in of_folds]})
    counts = zip(aucs["n_patients"], aucs["n_positive"], strict=True)
    heading = "n" if aucs["n_positive"].isna().all() else "n (pos / neg)"
    texts = {
        "AUC [95 %]" if external else "pooled [95 %]": [with_interval(*row) for row in of_all],
        heading: [_counted(n, positive) for n, positive in counts],
    }
    show(shown.assign(**texts), "Area under the ROC curve")
    told = aucs[aucs["notes"].str.contains(WARNING)]
    say_notes(
        f"{target}: {note}"
        for target, rows in told.groupby("target", sort=False)
        for note in dict.fromkeys(
            note for notes in rows["notes"] for note in notes.split("; ") if WARNING in note
        )
    )


def show_calibration(predictions: pd.DataFrame) -> None:
    """Print calibration as given and calibrated, where the predictions hold calibrated answers.

    A script gets all figures.
    """
    figures = calibration_figures(predictions)
    answer(calibration=figures)
    if not (figures["probabilities"] == CALIBRATED).any():
        return
    shown = figures[["target", "method", "network", "probabilities", "ece", "slope", "brier"]]
    show(shown, "Calibration")
    say_notes(uncalibrated(predictions))


def _counted(n: int, positive: Any) -> str:
    return str(n) if pd.isna(positive) else f"{n} ({positive} / {n - positive})"


def _with_spread(mean: float, sd: float) -> str:
    """Mean ± sd; no sd of a single fold."""
    if math.isnan(mean):
        return "undefined"
    return f"{mean:.3f}" if math.isnan(sd) else f"{mean:.3f} ± {sd:.3f}"
