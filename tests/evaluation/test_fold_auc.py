from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.evaluation import evaluate, fold_aucs, live_table
from tests.evaluation.simulated import three_class, two_class

KEY = ["target", "method", "network", "seed", "repeat", "fold"]


def both_kinds() -> pd.DataFrame:
    """Two and three classes, ties, unknown labels, unanswered patients, a fold of one class."""
    binary = two_class(seeds=(0, 1), networks=("student", "genomic"))
    binary["student"] = binary["student"].round(1)
    binary.loc[[3, 70], "label"] = np.nan
    binary.loc[(binary["method"] == "abmil") & (binary["PATIENT"] < "P030"), "genomic"] = np.nan
    binary.loc[(binary["fold"] == 2) & (binary["label"] == "positive"), "label"] = np.nan
    return pd.concat([binary, three_class()], ignore_index=True)


def test_fold_aucs_are_those_of_the_evaluation():
    table = both_kinds()
    folds = evaluate(table, n_resamples=2).folds
    expected = folds[folds["metric"] == "auc"].set_index(KEY).sort_index()
    found = fold_aucs(table).set_index(KEY).sort_index()
    assert found["auc"].isna().any()
    for column, name in (("auc", "value"), ("n_patients",) * 2, ("n_positive",) * 2):
        pd.testing.assert_series_equal(
            found[column], expected[name], check_names=False, check_dtype=False
        )


def test_a_network_without_every_class_has_no_auc():
    table = three_class()
    table["genomic:LumA"] = 0.5
    assert set(fold_aucs(table)["network"]) == {"student"}


def test_live_table_of_partial_predictions():
    table = two_class(seeds=(0, 1), networks=("genomic", "student"))
    other = two_class(target="PR")
    half = pd.concat([table, other])
    done = half[~((half["method"] == "mkd") & (half["target"] == "PR"))]
    done = done[~((done["method"] == "abmil") & (done["fold"] > 1))]
    live = live_table(done)
    assert list(live.columns) == ["method", "network", "ER", "PR", "fits"]
    assert live[["method", "network", "fits"]].to_numpy().tolist() == [
        ["abmil", "student", 6],
        ["mkd", "student", 10],
        ["abmil", "genomic", 4],
        ["mkd", "genomic", 10],
    ]
    fits = fold_aucs(done)
    chosen = fits[(fits["method"] == "mkd") & (fits["network"] == "student")]
    assert live.loc[1, "ER"] == chosen["auc"].mean()
    assert live["PR"].isna().tolist() == [False, True, True, True]


def test_live_table_of_nothing_and_of_folds_without_an_auc():
    assert live_table(two_class().iloc[:0]).empty
    positives = two_class().query("label == 'positive'")
    live = live_table(positives)
    assert live["fits"].tolist() == [5, 5]
    assert live["ER"].isna().all()
