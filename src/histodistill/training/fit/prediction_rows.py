"""Rows of a predictions table, as evaluation reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from histodistill.cohort import Target
from histodistill.evaluation.layout import ORDERED, joined_classes
from histodistill.inference import Probabilities
from histodistill.model import NetworkName
from histodistill.training.fold.fold_data import FoldData


def prediction_rows(
    target: Target,
    inputs: FoldData,
    patients: Sequence[str],
    answers: Probabilities,
    thresholds: Mapping[NetworkName, float],
    *,
    method: str,
    seed: int,
) -> pd.DataFrame:
    """One row a patient, in the columns of ``histodistill.evaluation.layout``.

    Args:
        target: Classes.
        inputs: The fold's data.
        patients: Patients, in the order of the answers.
        answers: Class probabilities by network, [n, C].
        thresholds: Operating thresholds by network.
        method: The method's name.
        seed: Its seed.
    """
    labels = inputs.labels.reindex(list(patients))
    columns: dict[str, object] = {
        "PATIENT": list(patients),
        "target": inputs.target,
        "method": method,
        "seed": seed,
        "repeat": inputs.fold.repeat,
        "fold": inputs.fold.index,
        "label": [None if pd.isna(i) else target.classes[int(i)] for i in labels],
        "positive_class": target.positive,
    }
    if target.ordered:
        columns[ORDERED] = joined_classes(target.classes)
    for name, answer in answers.items():
        if target.positive is not None:
            columns[name] = answer[:, target.classes.index(target.positive)]
            columns[f"{name}_threshold"] = thresholds[name]
        else:
            columns |= {f"{name}:{c}": answer[:, i] for i, c in enumerate(target.classes)}
    return pd.DataFrame(columns)
