"""Labels of several targets as one, to divide patients by all of them together."""

from __future__ import annotations

import pandas as pd


def joint_labels(table: pd.DataFrame, least: int) -> pd.Series[int]:
    """A number for each combination of classes, by patient.

    Combinations that few patients have are one class together, and belong to the most frequent
    one where even they are too few.

    Args:
        table: A column of class indices a target, patients in rows; missing where unknown.
            Patients without any label are left out.
        least: Patients that a class must have.
    """
    known = table.dropna(how="all").sort_index()
    combinations = known.fillna(-1).astype(int).agg(tuple, axis=1)
    sizes = combinations.value_counts()
    rare = combinations.isin(sizes.index[sizes < least])
    codes = pd.Series(pd.factorize(combinations, sort=True)[0], index=known.index, dtype=int)
    most = int(codes.mode()[0])
    codes[rare] = codes.max() + 1 if rare.sum() >= least else most
    return codes
