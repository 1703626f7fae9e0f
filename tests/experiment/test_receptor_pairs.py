"""ER and PR held against each other."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.experiment import read_experiment
from histodistill.experiment.audit import audit
from tests.experiment.small import experiment_file

TWO = {"classes": ["negative", "positive"], "positive": "positive"}
N = 40


def told(cohort, er, pr):
    """What an audit says of ER and PR with these labels, in the order of the table."""
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    words = {True: "positive", False: "negative"}
    labels = {"ER": [words[bool(each)] for each in er], "PR": [words[bool(each)] for each in pr]}
    clinical.assign(**labels).to_csv(cohort / "clinical.csv", index=False)
    path = experiment_file(cohort.parent, {"targets": {"ER": TWO, "PR": TWO}})
    return [
        note
        for note in audit(read_experiment(path)).notes
        if "ER negative" in note or "ER-negative" in note
    ]


@pytest.fixture
def pairs():
    """ER and PR of as many patients as the cohort has, as in published cohorts."""
    er = np.arange(N) % 4 != 0
    pr = er & (np.arange(N) % 3 != 0)
    pr[4] = True
    return er, pr


def test_the_usual_relation_is_not_told(cohort, pairs):
    assert told(cohort, *pairs) == []


def test_exchanged_columns_are_told(cohort, pairs):
    er, pr = pairs
    (note,) = told(cohort, pr, er)
    assert "are the columns of ER and PR exchanged?" in note


def test_pr_that_does_not_follow_er_is_told(cohort, pairs):
    er, _ = pairs
    (note,) = told(cohort, er, np.roll(er, 1))
    assert note.endswith("(a column sorted alone, rows that slipped)?")


def test_rows_that_slipped_in_a_part_of_the_table_are_told_with_their_place(cohort, pairs):
    er, pr = (values.copy() for values in pairs)
    er[30:] = np.tile([False, True], 5)
    pr[30:] = np.roll(er[30:], 1)
    (note,) = told(cohort, er, pr)
    assert "(clinical table)" in note
