from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import Answers, Runs, auc_of, strata_table


def carried(n: int = 600, seed: int = 0) -> tuple[Runs, pd.Series]:
    """Scores that tell the stratum alone, which is associated with the class."""
    generator = np.random.default_rng(seed)
    y = (np.arange(n) % 2).astype(int)
    stratum = np.where(generator.random(n) < 0.15 + 0.7 * y, "high", "low")
    p = np.clip(np.where(stratum == "high", 0.7, 0.3) + 0.05 * generator.normal(size=n), 0.01, 0.99)
    answers = Answers.two_class(y, p)
    return Runs.joined([answers], answers.classes, 1), pd.Series(stratum, answers.patients)


def test_what_a_stratum_carries_is_gone_within_it():
    runs, column = carried()
    (row,) = strata_table(runs, {"Receptor": column}).to_dict("records")
    assert row["auc"] == pytest.approx(auc_of(runs)[0])
    assert row["auc"] > 0.75
    assert row["within_low"] < 0.5 < row["within_high"]
    assert row["difference"] == pytest.approx(row["within"] - row["auc"])


def test_it_is_the_share_of_right_pairs_within_strata_weighted_by_positive_patients():
    runs, column = carried(120, seed=4)
    (row,) = strata_table(runs, {"R": column}).to_dict("records")
    (answers,) = runs.runs
    p, y = (pd.Series(v, answers.patients) for v in (answers.positive, answers.y))
    shares = []
    for patient in y.index[y == 1]:
        others = p[(y == 0) & (column == column[patient])]
        if len(others):
            shares.append(((p[patient] > others) + 0.5 * (p[patient] == others)).mean())
    assert row["within"] == pytest.approx(np.mean(shares))


def test_a_stratum_without_one_class_is_left_out_and_one_stratum_says_nothing():
    runs, column = carried(60, seed=1)
    (answers,) = runs.runs
    lonely = [name for name, label in zip(answers.patients, answers.y, strict=True) if label][:3]
    column = column.copy()
    column[lonely] = "positive alone"
    (row,) = strata_table(runs, {"R": column}).to_dict("records")
    assert row["strata"] == 2
    assert row["n_patients"] == 57
    assert strata_table(runs, {"R": pd.Series("same", answers.patients)}).empty
    assert strata_table(runs, {"R": pd.Series({"nobody": "a"})}).empty
