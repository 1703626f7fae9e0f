"""Clinical tables as cBioPortal, the GDC and Xena write them, rebuilt small."""

from pathlib import Path

import pytest

from histodistill.cohort import SurvivalColumns, declared_target, read_clinical
from histodistill.errors import InputError

CLASSES = ("negative", "positive")


def er(column: str, meanings: dict[str, str | None] | None = None):
    return declared_target("ER", column, CLASSES, "positive", meanings)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_data_clinical_patient_of_cbioportal(tmp_path):
    path = written(
        tmp_path / "data_clinical_patient.txt",
        "#Patient Identifier\tER Status\tOverall Survival (Months)\tOverall Survival Status\n"
        "#Identifier to uniquely specify a patient.\tER\tOverall survival.\tStatus.\n"
        "#STRING\tSTRING\tNUMBER\tSTRING\n"
        "#1\t1\t1\t1\n"
        "PATIENT_ID\tER_STATUS_BY_IHC\tOS_MONTHS\tOS_STATUS\n"
        "TCGA-A1-A0SB\tPositive\t8.51\t0:LIVING\n"
        "TCGA-A1-A0SD\tNegative\t[Not Available]\t1:DECEASED\n"
        "TCGA-A1-A0SE\tIndeterminate\t1.2\t[Not Available]\n"
        "TCGA-A1-A0SF\t[Not Evaluated]\t3\t0:LIVING\n",
    )
    target = er("ER_STATUS_BY_IHC", {"Indeterminate": None})
    table = read_clinical(
        path, [target], survival=SurvivalColumns(time="OS_MONTHS", event="OS_STATUS")
    )
    assert table.labels["ER"].fillna(-1).tolist() == [1, 0, -1, -1]
    assert table.survival is not None
    assert table.survival["time"].to_dict() == {"TCGA-A1-A0SB": 8.51, "TCGA-A1-A0SF": 3.0}
    assert [note.removeprefix(f"{path}: ") for note in table.notes] == [
        "column 'PATIENT_ID' was read as 'PATIENT'.",
        "column 'ER_STATUS_BY_IHC': 'Negative' (1) read as 'negative'.",
        "column 'ER_STATUS_BY_IHC': 'Positive' (1) read as 'positive'.",
        "column 'ER_STATUS_BY_IHC': 'Indeterminate' (1), '[Not Evaluated]' (1) count as unknown.",
        "column 'OS_MONTHS': '[Not Available]' (1) count as unknown.",
        "column 'OS_STATUS': '[Not Available]' (1) count as unknown.",
    ]


def test_clinical_tsv_of_the_gdc(tmp_path):
    path = written(
        tmp_path / "clinical.tsv",
        "case_id\tcase_submitter_id\ter\tdays_to_death\tvital_status\n"
        "c0ffee\tTCGA-A1-A0SB\tpositive\t'--\tAlive\n"
        "c0ffee\tTCGA-A1-A0SB\t'--\t'--\tAlive\n"
        "decade\tTCGA-A1-A0SD\tNot Reported\t120\tDead\n",
    )
    columns = SurvivalColumns(time="days_to_death", event="vital_status")
    table = read_clinical(path, [er("er")], survival=columns)
    assert table.labels["ER"].fillna(-1).to_dict() == {"TCGA-A1-A0SB": 1, "TCGA-A1-A0SD": -1}
    assert table.survival is not None
    assert table.survival["time"].to_dict() == {"TCGA-A1-A0SD": 120.0}


def test_clinical_matrix_of_xena(tmp_path):
    """No suffix, a row a sample; those of normal tissue say nothing, those of metastases else."""
    path = written(
        tmp_path / "BRCA_clinicalMatrix",
        "sampleID\tER_Status_nature2012\t_PATIENT\n"
        "TCGA-A1-A0SB-11\t\tTCGA-A1-A0SB\n"
        "TCGA-A1-A0SB-01\tPositive\tTCGA-A1-A0SB\n"
        "TCGA-A1-A0SD-06\tPositive\tTCGA-A1-A0SD\n"
        "TCGA-A1-A0SD-01\tNegative\tTCGA-A1-A0SD\n",
    )
    table = read_clinical(path, [er("ER_Status_nature2012")])
    assert table.labels["ER"].to_dict() == {"TCGA-A1-A0SB": 1, "TCGA-A1-A0SD": 0}
    assert any("holds barcodes of samples (4)" in note for note in table.notes)


@pytest.mark.parametrize(
    ("cells", "classes", "positive"),
    [
        (("POSITIVE", "negative"), CLASSES, "positive"),
        (("1.0", "0.0"), ("0", "1"), "1"),
        (("TRUE", "False"), ("false", "true"), "true"),
        (("NA", "nan"), ("NA", "nan"), "NA"),  # declared, so no codes
    ],
)
def test_one_class_in_other_spellings(tmp_path, cells, classes, positive):
    path = written(tmp_path / "t.csv", f"PATIENT,ER\n1,{cells[0]}\n2,{cells[1]}\n")
    target = declared_target("ER", None, classes, positive)
    labels = read_clinical(path, [target]).labels["ER"]
    assert labels.tolist() == [target.positive_index, 1 - (target.positive_index or 0)]


def test_a_map_says_what_cells_mean_and_must_be_used(tmp_path):
    path = written(tmp_path / "t.csv", "PATIENT,ER\n1,3+\n2,0\n3,2+\n4,NA\n")
    table = read_clinical(path, [er("ER", {"3+": "positive", "0": "negative", "2+": None})])
    assert table.labels["ER"].fillna(-1).tolist() == [1, 0, -1, -1]
    with pytest.raises(InputError) as caught:
        read_clinical(path, [er("ER", {"3+": "positive", "1+": "negative"})])
    strange, unused = caught.value.problems
    assert "write `map: {'0': negative, 2+: null}`" in strange
    assert "`map` of target 'ER' names '1+', which no cell of column 'ER' holds" in unused
    with pytest.raises(InputError, match=r"'x' means 'good', which is none of the classes negativ"):
        er("ER", {"x": "good"})


def test_a_site_column_without_sites_is_a_problem(tmp_path):
    path = written(tmp_path / "t.csv", "PATIENT,ER,SITE\n1,positive,\n2,negative,NA\n")
    with pytest.raises(InputError, match=r"column 'SITE' names no site"):
        read_clinical(path, [er("ER")], site_column="SITE")


def test_decimal_commas_in_survival(tmp_path):
    path = written(tmp_path / "t.csv", "PATIENT;T;E\n1;12,5;1\n2;3;0\n")
    table = read_clinical(path, [], survival=SurvivalColumns(time="T", event="E"))
    assert table.survival is not None
    assert table.survival["time"].tolist() == [12.5, 3.0]
    assert any("decimal commas" in note for note in table.notes)


@pytest.mark.parametrize(
    ("cell", "meaning"),
    [
        ("Positive (10%)", "positive"),
        ("negative; repeated", "negative"),
        ("positive or negative", "null"),
        ("Low Positive", "null"),
    ],
)
def test_a_class_with_a_remark_is_suggested(tmp_path, cell, meaning):
    path = written(tmp_path / "t.csv", f"PATIENT,ER\n1,{cell}\n2,negative\n")
    with pytest.raises(InputError) as caught:
        read_clinical(path, [er("ER")])
    assert f"{cell}: {meaning}}}`" in caught.value.problems[0]
