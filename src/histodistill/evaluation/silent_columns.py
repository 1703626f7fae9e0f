"""Columns that tell nothing of a target: which, and why."""

from __future__ import annotations

import pandas as pd

from histodistill.evaluation.grouping import MOST_LEVELS, levels_of
from histodistill.evaluation.runs import Runs
from histodistill.evaluation.summary import FEW


def why_silent(runs: Runs, column: pd.Series) -> str:
    """Why no level of a column can be compared with another one, in words; empty where some can.

    Args:
        runs: Answers of one network to the patients of one target.
        column: Values by patient.
    """
    own = column[column.index.isin(runs.patients)]
    levels = levels_of(own)
    if levels.empty:
        return f"no value for any of these {len(runs)} patients"
    names = list(levels.unique())
    if len(names) == 1:
        return f"all {len(levels)} patients who have a value are in one level ({names[0]})"
    values = own.loc[levels.index].astype(str)
    if len(names) > MOST_LEVELS and values.value_counts().max() < FEW:
        return (
            f"{values.nunique()} values for {len(levels)} patients, none of them of {FEW} "
            "patients: free text, names or dates? Name a column of groups"
        )
    if not any(_has_both(runs, levels, name) for name in names):
        return (
            f"none of its {len(names)} levels has patients of two classes, so that no AUC is "
            "within one (is it the target, or what follows from it?)"
        )
    return ""


def _has_both(runs: Runs, levels: pd.Series, name: str) -> bool:
    return bool((runs.of(list(levels.index[levels == name])).counts > 0).sum() > 1)
