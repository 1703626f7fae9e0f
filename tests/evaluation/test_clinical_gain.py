from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import auc_of, check_predictions, runs_of
from histodistill.evaluation.clinical_gain import clinical_gain

N = 200
CLASSES = ("negative", "positive")


def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A model and a grade that each tell a part of the class, and an age that tells nothing."""
    generator = np.random.default_rng(8)
    y = (np.arange(N) % 2).astype(int)
    names = [f"P{k:03d}" for k in range(N)]
    odds = 1.5 * (y - 0.5) + generator.normal(size=N)
    rows = pd.DataFrame(
        {
            "PATIENT": names,
            "target": "ER",
            "method": "m",
            "seed": 0,
            "repeat": 0,
            "fold": np.arange(N) // 2 % 5,
            "label": [CLASSES[k] for k in y],
            "positive_class": "positive",
            "student": 1 / (1 + np.exp(-odds)),
        }
    )
    grade = np.where(generator.random(N) < 0.3 + 0.4 * y, "high", "low").astype(object)
    clinical = pd.DataFrame({"GRADE": grade, "AGE": generator.normal(60, 9, N)}, index=names)
    clinical.iloc[:5, 0] = None
    clinical.iloc[5:9, 1] = np.nan
    return check_predictions(rows, "simulated"), clinical


def test_both_tell_more_than_either():
    rows, clinical = world()
    table = clinical_gain(rows, "student", clinical).set_index("answers")
    aucs = table["auc"]
    assert 0.6 < aucs["clinical columns alone"] < aucs["both"]
    assert aucs["model alone"] == pytest.approx(auc_of(runs_of(rows, "student", CLASSES))[0])
    assert aucs["both"] > aucs["model alone"] - 0.01
    both = table.loc["both"]
    assert both["gain"] == pytest.approx(aucs["both"] - aucs["clinical columns alone"])
    assert both["gain_low"] > 0
    assert both["p_delong"] < 0.01
    assert np.isnan(table["gain"]["clinical columns alone"])


def test_no_patient_is_answered_by_a_regression_that_has_seen_the_label():
    """A column that names each patient tells nothing out of fold."""
    rows, _ = world()
    names = pd.DataFrame({"ID": rows["PATIENT"].tolist()}, index=rows["PATIENT"].tolist())
    table = clinical_gain(rows, "student", names).set_index("answers")
    assert table.loc["clinical columns alone", "auc"] == pytest.approx(0.5)


def test_patients_without_any_column_are_left_out_and_one_fold_says_nothing():
    rows, clinical = world()
    clinical = clinical.astype(object)
    clinical.iloc[:20] = None
    assert (clinical_gain(rows, "student", clinical)["n_patients"] == N - 20).all()
    assert clinical_gain(rows.assign(fold=0), "student", clinical).empty
