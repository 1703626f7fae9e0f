"""The flow of a cohort: who is in, who was left out, and why."""

from __future__ import annotations

import pandas as pd

from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment

COLUMNS = ("target", "step", "patients", "reason")


def cohort_flow(
    experiment: Experiment, data: ExperimentData, predictions: pd.DataFrame
) -> pd.DataFrame:
    """The steps, first those of all targets, then each target's.

    Returns:
        Columns ``target`` (empty for all), ``step``, ``patients``, and ``reason``, which is empty
        for those who are in.
    """
    everybody = {*data.clinical.patients, *data.excluded["PATIENT"]}
    rows: list[tuple[str, str, int, str]] = [
        ("", "patients named in any input", len(everybody), "")
    ]
    counts = data.excluded["reason"].value_counts(sort=False)
    rows += [("", "", int(n), f"left out: {reason}") for reason, n in counts.items()]
    rows.append(("", "patients with slides, genomics or both", len(data.patients), ""))
    for target, settings in experiment.targets.items():
        labels = data.labels(target)
        unknown = len(data.patients) - len(labels)
        if unknown:
            reason = f"left out: the column {settings.column} tells no class"
            rows.append((target, "", unknown, reason))
        known = ", ".join(
            f"{int((labels == place).sum())} {name}" for place, name in enumerate(settings.classes)
        )
        rows.append((target, f"patients with a class ({known})", len(labels), ""))
        rows += _tested(target, labels, predictions)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _tested(
    target: str, labels: pd.Series[int], predictions: pd.DataFrame
) -> list[tuple[str, str, int, str]]:
    """Those whom a model answered that was not trained on them, where that is not everybody."""
    own = predictions.loc[predictions["target"] == target, "PATIENT"]
    tested = int(labels.index.isin(own.unique()).sum())
    if tested == len(labels):
        return []
    left = (target, "", len(labels) - tested, "left out: in no test part of these folds")
    return [left, (target, "patients tested", tested, "")]
