from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.evaluation import (
    STANDARD_METRICS,
    answers_of,
    auc_interval,
    delong,
    evaluate,
    score,
)
from tests.evaluation.simulated import three_class, two_class

CLASSES = ("negative", "positive")


def row_of(table: pd.DataFrame, **key: str) -> pd.Series:
    rows = table
    for name, value in key.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_target_method_network_and_metric_has_a_row():
    both = pd.concat([two_class(networks=("student", "genomic")), three_class()])
    summary = evaluate(both, n_resamples=20).summary
    of_parts = summary.groupby(["target", "method", "network"], sort=False)["metric"].apply(set)
    assert list(of_parts.index) == [
        ("ER", "abmil", "student"),
        ("ER", "abmil", "genomic"),
        ("ER", "mkd", "student"),
        ("ER", "mkd", "genomic"),
        ("PAM50", "mkd", "student"),
    ]
    assert of_parts.iloc[0] == set(STANDARD_METRICS)
    assert of_parts.iloc[-1] > set(STANDARD_METRICS) | {"auc:LumA", "average_precision:Basal"}


def test_pooled_and_fold_figures():
    table = two_class(seeds=(0, 1))
    tables = evaluate(table, n_resamples=200)
    rows = table[table["method"] == "mkd"]
    folds = tables.folds.query("method == 'mkd' and metric == 'auc'")
    expected = [
        score(answers_of(part, "student", CLASSES)).metrics["auc"]
        for _, part in rows.groupby(["seed", "fold"])
    ]
    np.testing.assert_allclose(folds["value"], expected)
    row = row_of(tables.summary, method="mkd", metric="auc")
    assert row["mean"] == pytest.approx(np.mean(expected))
    of_folds = np.reshape(expected, (2, 5)).mean(axis=0)
    assert row["sd"] == pytest.approx(np.std(of_folds, ddof=1))
    assert (row["n_folds"], row["n_models"]) == (5, 10)
    runs = [answers_of(run, "student", CLASSES) for _, run in rows.groupby("seed")]
    estimates = delong(runs[0].y, [run.positive for run in runs])
    assert row["estimate"] == pytest.approx(estimates.aucs.mean())
    interval = auc_interval(estimates.aucs.mean(), estimates.covariance.mean(), 40, 20)
    np.testing.assert_allclose((row["low"], row["high"]), interval)
    assert (row["interval"], row["n_patients"], row["n_positive"]) == ("score", 60, 40)
    brier = row_of(tables.summary, method="mkd", metric="brier")
    assert brier["interval"] == "bootstrap"
    assert brier["low"] < brier["estimate"] < brier["high"]
    assert row["notes"] == ""


def test_three_classes_have_bootstrap_intervals_and_no_positives():
    row = row_of(evaluate(three_class(), n_resamples=50).summary, metric="auc")
    assert row["interval"] == "bootstrap"
    assert row["low"] < row["estimate"] < row["high"]
    assert pd.isna(row["n_positive"])


def test_a_class_missing_from_a_fold_is_noted_and_left_out_of_the_mean():
    table = two_class(methods=[("mkd", 1.0)])
    table = table[~((table["fold"] == 3) & (table["label"] == "positive"))]
    row = row_of(evaluate(table, n_resamples=20).summary, metric="auc")
    assert row["n_folds"] == 4
    assert not np.isnan(row["mean"])
    assert row["notes"] == "fold 3: no positive patient"
    folds = evaluate(table, n_resamples=20).folds.query("fold == 3 and metric == 'auc'")
    assert np.isnan(folds["value"].iloc[0])
    assert folds["note"].iloc[0] == "no positive patient"


def test_notes_name_the_seed_where_there_are_several():
    table = two_class(methods=[("mkd", 1.0)], seeds=(0, 1))
    lost = (table["fold"] == 3) & (table["label"] == "positive") & (table["seed"] == 1)
    row = row_of(evaluate(table[~lost], n_resamples=20).summary, metric="auc")
    assert row["notes"] == (
        "some patients lack a row in some of the 2 seeds and repeats; "
        "seed 1, fold 3: no positive patient"
    )


def test_a_class_missing_everywhere():
    table = two_class(methods=[("mkd", 1.0)]).query("label == 'negative'")
    row = row_of(evaluate(table, n_resamples=20).summary, metric="auc")
    assert np.isnan(row[["mean", "estimate", "low", "high"]].astype(float)).all()
    assert (row["n_folds"], row["interval"]) == (0, "")
    assert row["notes"].startswith("no positive patient; fold 0: no positive patient")


def test_who_is_left_out_is_counted():
    table = two_class(methods=[("mkd", 1.0)], networks=("student", "genomic"))
    table.loc[[0, 1], "label"] = np.nan
    table.loc[[4, 5, 6], "genomic"] = np.nan
    summary = evaluate(table, n_resamples=20).summary
    student = row_of(summary, network="student", metric="auc")
    genomic = row_of(summary, network="genomic", metric="auc")
    assert student["notes"] == "2 patients without a label left out"
    assert (
        genomic["notes"] == "2 patients without a label left out; 3 labelled patients not answered"
    )
    assert genomic["n_patients"] == 55


def test_nobody_has_a_label():
    table = two_class(methods=[("mkd", 1.0)]).assign(label=np.nan)
    summary = evaluate(table, n_resamples=20).summary
    assert summary["estimate"].isna().all()
    assert summary["notes"].iloc[0].startswith("no labelled patient with an answer; 60 patients")


def test_copies_of_a_seed_change_no_figure():
    one = two_class(methods=[("mkd", 1.0)])
    copies = pd.concat([one.assign(seed=k) for k in range(4)])
    first, again = (evaluate(table, n_resamples=50).summary for table in (one, copies))
    columns = ["mean", "sd", "n_folds", "estimate", "low", "high"]
    pd.testing.assert_frame_equal(first[columns], again[columns])
    assert set(again["n_models"]) == {20}


def test_copies_of_a_repeat_change_no_sd():
    one = two_class(methods=[("mkd", 1.0)])
    copies = pd.concat([one.assign(repeat=k) for k in range(4)])
    first, again = (evaluate(table, n_resamples=5).summary for table in (one, copies))
    np.testing.assert_allclose(first["sd"], again["sd"])


def test_a_perfect_auc_and_equal_probabilities_have_an_interval():
    table = two_class(methods=[("mkd", 1.0)])
    table["student"] = np.where(table["label"] == "positive", 0.9, 0.1)
    row = row_of(evaluate(table, n_resamples=20).summary, metric="auc")
    assert (row["estimate"], row["high"]) == (1, 1)
    assert 0.85 < row["low"] < 1
    row = row_of(evaluate(table.assign(student=0.3), n_resamples=20).summary, metric="auc")
    assert row["estimate"] == 0.5
    assert row["low"] < 0.4 < 0.6 < row["high"]


def test_few_patients_of_a_class_are_warned_of():
    table = two_class(n=21, methods=[("mkd", 1.0)])
    notes = evaluate(table, n_resamples=20).summary["notes"]
    assert "only 7 negative patients: intervals may cover less than they say" in notes.iloc[0]


def test_one_patient():
    table = two_class(n=1, methods=[("mkd", 1.0)])
    row = row_of(evaluate(table, n_resamples=20).summary, metric="accuracy")
    assert row["n_patients"] == 1
    assert np.isnan(row["sd"])
    assert row["estimate"] in (0, 1)


def test_without_thresholds_the_rest_stands():
    table = two_class().drop(columns="student_threshold")
    summary = evaluate(table, n_resamples=20).summary
    assert summary.query("metric == 'accuracy'")["estimate"].isna().all()
    assert summary.query("metric == 'auc'")["estimate"].notna().all()
    assert "no operating threshold" in summary["notes"].iloc[0]


def test_the_same_seed_gives_the_same_tables():
    first, again = (evaluate(two_class(), n_resamples=50, seed=2) for _ in range(2))
    pd.testing.assert_frame_equal(first.summary, again.summary)
    pd.testing.assert_frame_equal(first.folds, again.folds)
