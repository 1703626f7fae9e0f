from pathlib import Path

import pandas as pd

from histodistill.tables import Column, missing_columns, resolved_columns

PATH = Path("t.csv")


def resolved(columns: list[str], *wanted: Column) -> tuple[list[str], list[str], list[str]]:
    notes: list[str] = []
    problems: list[str] = []
    table = pd.DataFrame([["x"] * len(columns)], columns=columns)
    found = resolved_columns(table, wanted, PATH, notes, problems)
    return list(found.columns), notes, problems


def test_a_column_in_another_case_or_by_another_name_is_taken_and_told():
    names, notes, problems = resolved(
        ["Case_ID", "er"], Column("PATIENT", also=("case_id",)), Column("ER"), Column("ER")
    )
    assert names == ["PATIENT", "ER"]
    assert notes == [
        "t.csv: column 'Case_ID' was read as 'PATIENT'.",
        "t.csv: column 'er' was read as 'ER'.",
    ]
    assert problems == []


def test_the_name_itself_goes_first_and_what_is_ambiguous_is_not_guessed():
    patient = Column("PATIENT", also=("case_id",))
    assert resolved(["case_id", "PATIENT"], patient)[:2] == (["case_id", "PATIENT"], [])
    _, notes, problems = resolved(["er", "Er"], Column("ER"))
    assert notes == []
    assert len(problems) == 1


def test_a_missing_column_comes_with_the_setting_to_change():
    table = pd.DataFrame({"PATIENT_NO": ["1"], "ER_status": ["a"]})
    wanted = [Column("PATIENT", "cohort: patient_column"), Column("HER2"), Column("HER2")]
    assert missing_columns(table, [Column("ER_status")], PATH) == []
    assert missing_columns(table, wanted, PATH) == [
        "t.csv: has no column 'PATIENT'; do you mean 'PATIENT_NO'? Then write "
        "`patient_column: PATIENT_NO` below `cohort`. Its columns are PATIENT_NO, ER_status.",
        "t.csv: has no column 'HER2'. Its columns are PATIENT_NO, ER_status.",
    ]
