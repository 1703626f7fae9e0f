"""Follow-up that cannot be, or that is unusual."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.cohort import SurvivalColumns, read_clinical
from histodistill.cohort.follow_up import follow_up_notes, follow_up_problems
from histodistill.errors import InputError

N = 80
PATIENTS = [f"P{i:02d}" for i in range(N)]
SITES = pd.Series([f"S{i % 4}" for i in range(N)], PATIENTS)


def survival(share=0.2):
    rng = np.random.default_rng(0)
    times = rng.exponential(50, N).round(1) + 0.1
    return pd.DataFrame({"time": times, "event": rng.random(N) < share}, PATIENTS)


def told(table, column="OS", ages=None):
    return [*follow_up_problems(table, column), *follow_up_notes(table, SITES, ages, column)]


@pytest.mark.parametrize("column", ["OS", "OS_MONTHS", "follow_up_days"])
def test_follow_up_in_one_unit_is_not_told(column):
    ages = pd.Series(np.random.default_rng(1).uniform(30, 80, N), PATIENTS)
    assert told(survival(), column, ages) == []


def test_days_under_the_name_of_months_are_named():
    table = survival()
    table.loc["P01":"P09", "time"] *= 30.4
    (problem,) = follow_up_problems(table, "OS_MONTHS")
    assert "in days, or in days and months mixed" in problem
    assert list(follow_up_problems(table, "OS")) == []


def test_days_beside_months_are_told_by_hospital_and_by_decimals():
    table = survival()
    table.loc[SITES == "S2", "time"] *= 30.4
    (note,) = told(table)
    assert "of S2 are more than 10 times" in note
    table = survival()
    table.loc["P00":"P19", "time"] = (table["time"] * 30.4).round()
    (note,) = told(table)
    assert "are whole numbers" in note
    assert "P00" in note


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"event": False}, "nothing can be learned"),
        ({"event": True}, "turn the codes round"),
        ({"time": 60.0}, "holds one time for all"),
        ({"time": [0.0] * 20 + [30.5] * 30 + [40.5] * 30}, "is 0 written for unknown?"),
        ({"time": np.arange(N) % 20 + 2000.0}, "holds calendar years"),
        ({"time": np.arange(N) / 2 + 35}, "goes with the age"),
    ],
)
def test_what_no_cohort_has_is_told(change, part):
    (sentence,) = told(survival().assign(**change), ages=pd.Series(np.arange(N) + 0.0, PATIENTS))
    assert part in sentence


def test_the_clinical_table_tells_it(tmp_path):
    path = tmp_path / "clinical.csv"
    columns = SurvivalColumns(time="OS_MONTHS", event="DEAD")
    table = survival().rename(columns={"time": "OS_MONTHS", "event": "DEAD"})
    table.assign(DEAD=0).to_csv(path, index_label="PATIENT")
    (note,) = read_clinical(path, [], survival=columns).notes
    assert note == (
        f"{path}: none of {N} patients had the event: nothing can be learned from their follow-up."
    )
    table.assign(OS_MONTHS=table["OS_MONTHS"] * 400).to_csv(path, index_label="PATIENT")
    with pytest.raises(InputError, match="bring all to one unit"):
        read_clinical(path, [], survival=columns)
