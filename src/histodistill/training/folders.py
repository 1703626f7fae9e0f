"""Names of the files and folders in which an experiment's results lie."""

from __future__ import annotations

from histodistill.cohort import Fold

PREDICTIONS = "predictions.csv"
VALIDATION = "validation.csv"
MODEL = "model"
COST = "cost.json"
TEACHERS = "teachers"
BASELINES = "baselines"


def fold_name(fold: Fold) -> str:
    """Folder of what belongs to one fold."""
    return f"repeat-{fold.repeat}-fold-{fold.index}"
