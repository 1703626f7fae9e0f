"""What a finished cross-validation measured of a method, for the card of its final model."""

from __future__ import annotations

import math
from typing import Any

from histodistill import sealing
from histodistill.evaluation import evaluate
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.training.folders import PREDICTIONS
from histodistill.training.run.crossval import joined
from histodistill.training.run.planned_fits import fits_of

FIGURES = ("auc", "average_precision", "sensitivity", "specificity", "brier")


def out_of_fold_performance(
    experiment: Experiment, data: ExperimentData, target: str, method: str
) -> list[dict[str, Any]]:
    """Pooled figures of the method's out-of-fold patients; nothing where its folds are not done.

    Returns:
        A record a network and metric, of plain JSON values: ``network``, ``metric``,
        ``estimate``, ``low``, ``high`` (None where undefined), ``patients``, ``positive`` (None
        beyond two classes), ``classes`` (patients of each in words) and ``folds``, how the
        patients were divided.
    """
    fits = [f for f in fits_of(experiment, data) if (f.target, f.method) == (target, method)]
    if not fits or not all(fit.finished(experiment.output) for fit in fits):
        return []
    if sealing.unread_sentence(experiment.output):  # no card tells what nobody may know yet
        return []
    rows = joined(fit.folder(experiment.output) / PREDICTIONS for fit in fits)
    summary = evaluate(rows, metrics=FIGURES).summary
    splits = experiment.splits
    return [
        {
            "network": row["network"],
            "metric": row["metric"],
            **{name: _known(row[name]) for name in ("estimate", "low", "high")},
            "patients": int(row["n_patients"]),
            "positive": _known(row["n_positive"]),
            "classes": row["class_counts"],
            "folds": splits.scheme,
        }
        for row in summary.to_dict("records")
        if row["metric"] in FIGURES
    ]


def _known(value: Any) -> Any:
    """A number as JSON has it."""
    try:
        return None if math.isnan(value) else value
    except TypeError:  # pandas' NA
        return None
