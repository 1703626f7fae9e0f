from pathlib import Path

import pandas as pd
import pytest

from histodistill.cohort import (
    ClinicalTable,
    SurvivalColumns,
    Target,
    declared_target,
    read_clinical,
)
from histodistill.errors import InputError

ER = declared_target("ER", "er_status", ("negative", "positive"), "positive")
PAM50 = declared_target("PAM50", "subtype", ("LumA", "LumB", "Basal"))
SURVIVAL = SurvivalColumns(time="OS_MONTHS", event="OS_STATUS")


def clinical(tmp_path: Path, text: str, *targets: Target, **options) -> ClinicalTable:
    path = tmp_path / "clinical.csv"
    path.write_text(text)
    return read_clinical(path, targets, **options)


def problems(tmp_path: Path, text: str, *targets: Target, **options) -> tuple[str, ...]:
    with pytest.raises(InputError) as caught:
        clinical(tmp_path, text, *targets, **options)
    assert all(str(tmp_path / "clinical.csv") in problem for problem in caught.value.problems)
    return caught.value.problems


def test_labels_are_positions_and_empty_is_unknown(tmp_path):
    table = clinical(
        tmp_path,
        "PATIENT,er_status,subtype\n002, positive ,Basal\n001,negative,\n003,,LumA\n",
        ER,
        PAM50,
    )
    assert table.patients == ("001", "002", "003")
    assert table.labels.index.name == "PATIENT"
    expected = pd.DataFrame({"ER": [0, 1, None], "PAM50": [None, 2, 0]}, index=table.patients)
    pd.testing.assert_frame_equal(
        table.labels, expected.astype("Int64").rename_axis(index="PATIENT"), check_index_type=False
    )
    assert table.survival is None


def test_positive_index():
    assert ER.positive_index == 1
    assert declared_target("ER", "ER", ("positive", "negative"), "positive").positive_index == 0
    assert PAM50.positive_index is None


@pytest.mark.parametrize(
    ("classes", "positive", "message"),
    [
        (("a",), None, r"Target 'T': declare two or more different classes, not \['a'\]\."),
        (("a", "a"), "a", r"declare two or more different classes, not \['a', 'a'\]\."),
        (("", "a"), "a", r"a class name is empty or has blanks around it"),
        (("a ", "b"), "b", r"a class name is empty or has blanks around it"),
        (("a", "b"), None, r"must say which of its classes is positive, a or b\."),
        (("a", "b"), "c", r"must say which of its classes is positive, a or b\."),
        (("a", "b", "c"), "b", r"only a target of two classes has a positive one; remove `pos"),
    ],
)
def test_targets_that_make_no_sense(classes, positive, message):
    with pytest.raises(InputError, match=message):
        declared_target("T", "T", classes, positive)


def test_sites_come_from_the_column_then_from_the_barcode(tmp_path):
    text = "PATIENT,er_status,HOSPITAL\nTCGA-A2-0001,positive,North\nTCGA-BH-0002,,\nP3,,\n"
    with_column = clinical(tmp_path, text, ER, site_column="HOSPITAL")
    assert with_column.sites.fillna("?").to_dict() == {
        "TCGA-A2-0001": "North",
        "TCGA-BH-0002": "BH",
        "P3": "?",
    }
    without = clinical(tmp_path, text, ER)
    assert without.sites.fillna("?").tolist() == ["?", "A2", "BH"]


def test_survival_keeps_patients_with_time_and_event(tmp_path):
    rows = [
        ("a", "10.5", "1:DECEASED", True),
        ("b", "0", "0:LIVING", False),
        ("c", "3", "1", True),
        ("d", "3", "0", False),
        ("e", "3", "1.0", True),
        ("f", "3", "Dead", True),
        ("g", "3", "alive", False),
        ("h", "3", "True", True),
        ("i", "3", "FALSE", False),
        ("j", "3", "DECEASED", True),
        ("k", "3", "LIVING", False),
        ("l", "3", "0:CENSORED", False),
    ]
    text = "PATIENT,OS_MONTHS,OS_STATUS\n" + "".join(f"{p},{t},{e}\n" for p, t, e, _ in rows)
    table = clinical(tmp_path, text + "y,,1\nz,4,\n", survival=SURVIVAL)
    assert table.survival is not None
    assert table.survival.dtypes.tolist() == [float, bool]
    assert table.survival["event"].to_dict() == {patient: event for patient, _, _, event in rows}
    assert table.survival["time"].tolist()[:3] == [10.5, 0.0, 3.0]
    assert table.patients[-2:] == ("y", "z")


def test_rows_that_agree_in_the_used_columns_are_one_patient(tmp_path):
    text = "PATIENT,er_status,slide\n1,positive,x\n1,positive,y\n2,,z\n2,,z\n"
    table = clinical(tmp_path, text, ER)
    assert table.patients == ("1", "2")
    assert table.labels["ER"].tolist()[0] == 1


def test_rows_that_contradict_each_other(tmp_path):
    text = (
        "PATIENT,er_status,subtype\n1,positive,LumA\n1,negative,LumA\n2,,Basal\n2,positive,LumA\n"
    )
    assert problems(tmp_path, text, ER, PAM50) == (
        f"{tmp_path / 'clinical.csv'}: patients with several rows that contradict each other: "
        "1 (er_status), 2 (subtype); keep one row for each patient.",
    )


def test_values_outside_the_classes_name_the_patients(tmp_path):
    text = "PATIENT,er_status\n1,weakly\n2,equivocal\n3,positive\n4,weakly\n5,pos\n"
    assert problems(tmp_path, text, ER) == (
        f"{tmp_path / 'clinical.csv'}: column 'er_status' holds values that are not among the "
        "classes of target 'ER' (negative, positive): 'equivocal' (2); 'pos' (5); 'weakly' "
        "(1, 4); correct them, or say what they mean: below `targets: ER` write "
        "`map: {equivocal: null, pos: positive, weakly: null}` (null: unknown).",
    )


def test_a_missing_column_is_told_with_the_other_problems(tmp_path):
    text = "PATIENT,ER_Statuses,subtype\n1,positive,LumZ\n,positive,LumA\n2,,\n,,Basal\n"
    found = problems(tmp_path, text, ER, PAM50, survival=SURVIVAL, site_column="CITY")
    assert len(found) == 6
    assert "has no column 'er_status'; do you mean 'ER_Statuses'? " in found[0]
    assert "Then write `column: ER_Statuses` below `targets: ER`." in found[0]
    assert "has no column 'CITY'." in found[1]
    assert "has no column 'OS_MONTHS'." in found[2]
    assert "has no column 'OS_STATUS'" in found[3]
    assert "column 'PATIENT' is empty in row 2, 4 below the header; name the patient" in found[4]
    assert "'LumZ' (1)" in found[5]


def test_a_missing_patient_column(tmp_path):
    found = problems(tmp_path, "CASE,er_status\n1,odd\n", ER)
    assert "has no column 'PATIENT'. Its columns are CASE, er_status." in found[0]
    renamed = clinical(tmp_path, "CASE,er_status\n1,positive\n", ER, patient_column="CASE")
    assert renamed.labels["ER"].to_dict() == {"1": 1}
    assert renamed.labels.index.name == "PATIENT"


def test_times_and_events_that_are_none(tmp_path):
    text = (
        "PATIENT,OS_MONTHS,OS_STATUS\n"
        'a,"12,5",1\nb,-1,0\nc,inf,1\nd,[Not Available],0\ne,5,maybe\nf,5,2\ng,5,1\n'
    )
    times, events = problems(tmp_path, text, survival=SURVIVAL)
    assert "column 'OS_MONTHS' holds times that are not numbers from 0 up" in times
    for cell in ("'12,5' (a)", "'-1' (b)", "'inf' (c)"):
        assert cell in times
    assert "decimals take a point" in times
    assert "column 'OS_STATUS' holds events that are not understood: '2' (f); 'maybe' (e)" in events


def test_a_code_among_times_is_none(tmp_path):
    rows = "".join(f"p{n},{9999 if n % 3 == 0 else n},1\n" for n in range(9))
    (problem,) = problems(tmp_path, f"PATIENT,OS_MONTHS,OS_STATUS\n{rows}", survival=SURVIVAL)
    assert "column 'OS_MONTHS' holds 9999 in 3 rows" in problem
    assert "leave these cells empty" in problem


def test_two_targets_of_one_name(tmp_path):
    with pytest.raises(InputError, match=r"Target 'ER' is declared more than once"):
        clinical(tmp_path, "PATIENT,er_status\n1,positive\n", ER, ER)


def test_two_targets_may_share_a_column(tmp_path):
    again = declared_target("ER reversed", "er_status", ("positive", "negative"), "positive")
    table = clinical(tmp_path, "PATIENT,er_status\n1,positive\n", ER, again)
    assert table.labels.loc["1"].to_dict() == {"ER": 1, "ER reversed": 0}
