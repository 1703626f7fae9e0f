"""Labels of several targets as one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.cohort import joint_labels, stratified_folds


def table(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    er = rng.random(n) < 0.75
    pr = np.where(rng.random(n) < 0.85, er, ~er)
    frame = pd.DataFrame(
        {"ER": er, "PR": pr, "HER2": rng.random(n) < 0.15}, index=[f"P{i:03}" for i in range(n)]
    ).astype("Int64")
    frame.loc[frame.index[::7], "PR"] = pd.NA
    frame.loc[frame.index[:5]] = pd.NA
    return frame


def test_each_frequent_combination_is_a_class() -> None:
    labels = joint_labels(table(), least=5)
    known = table().dropna(how="all")
    assert list(labels.index) == sorted(known.index)
    assert labels.value_counts().min() >= 5
    combinations = known.fillna(-1).astype(int).agg(tuple, axis=1)
    for own, patients in combinations.groupby(combinations):
        if len(patients) >= 5:
            (code,) = labels[patients.index].unique()
            assert set(combinations[labels.index[labels == code]]) <= {own} or len(own) == 3


def test_few_patients_of_rare_combinations_join_the_most_frequent() -> None:
    frame = pd.DataFrame({"ER": [0] * 6 + [1] * 7 + [1], "PR": [0] * 6 + [1] * 7 + [0]})
    labels = joint_labels(frame, least=5)
    assert labels.tolist() == [0] * 6 + [2] * 7 + [2]


def test_every_target_is_balanced_over_parts() -> None:
    frame = table()
    folds = stratified_folds(joint_labels(frame, least=5), 5, seed=0)
    for name in frame:
        share = frame[name].mean()
        for fold in folds:
            assert abs(frame[name].reindex(list(fold.test)).mean() - share) < 0.1
