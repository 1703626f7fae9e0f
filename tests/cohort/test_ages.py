from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from histodistill.cohort.ages import read_ages

PATH = Path("clinical.csv")


def ages(header: str, cells: list[str], notes: list[str] | None = None) -> dict[str, float] | None:
    patients = pd.Series(["A", "A", "B", "C"])
    found = read_ages(pd.DataFrame({header: cells}), patients, PATH, [] if notes is None else notes)
    return None if found is None else {str(name): float(age) for name, age in found.items()}


@pytest.mark.parametrize("header", ["AGE", "Diagnosis Age", "demographic.age_at_index"])
def test_headers_of_common_sources(header: str):
    assert ages(header, ["61", "61", "47.5", "999"]) == {"A": 61, "B": 47.5}


def test_ages_in_days_are_told():
    notes: list[str] = []
    found = ages("age_at_diagnosis", ["21915", "", "'--", "29220"], notes)
    assert found is not None
    assert found == pytest.approx({"A": 60, "C": 80})
    assert notes == ["clinical.csv: column 'age_at_diagnosis' was read as ages in days."]


def test_no_column_or_no_age():
    assert ages("stage", ["61", "61", "47", "50"]) is None
    assert ages("AGE", ["", "unknown", "", ""]) is None
