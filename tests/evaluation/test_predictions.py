from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill import finished
from histodistill.errors import InputError
from histodistill.evaluation import (
    answers_of,
    networks_in,
    read_predictions,
    target_classes,
    write_predictions,
)
from tests.evaluation.simulated import three_class, two_class


def message(table: pd.DataFrame, tmp_path: Path) -> str:
    path = tmp_path / "predictions.csv"
    table.to_csv(path, index=False)
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize("table", [two_class(networks=("student", "genomic")), three_class()])
def test_what_is_written_is_read_exactly(table: pd.DataFrame, tmp_path: Path):
    path = tmp_path / "new folder" / "predictions.csv"
    write_predictions(path, table)
    pd.testing.assert_frame_equal(read_predictions(path), table, check_exact=True)


def test_names_that_look_like_numbers_or_missing_values_stay_text(tmp_path: Path):
    table = two_class(n=9).assign(method="None")
    table["PATIENT"] = [f"00{i}" for i in range(9)] * 2
    table["seed"] = [0] * 9 + [1] * 9
    table["label"] = table["label"].replace({"negative": "NA"})
    path = tmp_path / "predictions.csv"
    write_predictions(path, table)
    read = read_predictions(path)
    assert read["PATIENT"].iloc[1] == "001"
    assert set(read["label"]) == {"NA", "positive"}
    assert set(read["method"]) == {"None"}


def test_repeat_may_be_absent_and_other_columns_are_dropped(tmp_path: Path):
    path = tmp_path / "predictions.csv"
    two_class().drop(columns="repeat").assign(comment="x").to_csv(path, index=False)
    read = read_predictions(path)
    assert set(read["repeat"]) == {0}
    assert "comment" not in read


def test_empty_answers_and_labels_stay_empty(tmp_path: Path):
    table = two_class(networks=("student", "genomic"))
    table.loc[3, ["genomic", "label"]] = np.nan
    path = tmp_path / "predictions.csv"
    write_predictions(path, table)
    read = read_predictions(path)
    assert read.loc[3, ["genomic", "label"]].isna().all()
    assert networks_in(read) == ["student", "genomic"]


def test_a_network_that_answers_for_nobody_is_told(tmp_path: Path):
    path = tmp_path / "predictions.csv"
    two_class(networks=("student", "genomic")).assign(genomic=np.nan).to_csv(path, index=False)
    notes: list[str] = []
    assert networks_in(read_predictions(path, notes)) == ["student"]
    assert notes == [
        f"{path}: column 'genomic' is empty for every patient; that network is left out"
    ]


def test_absent_file(tmp_path: Path):
    with pytest.raises(InputError, match="there is no such file"):
        read_predictions(tmp_path / "nothing.csv")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00bad", b'a,b\n"x,1\n'])
def test_unreadable_file(content: bytes, tmp_path: Path):
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.csv"):
        read_predictions(path)


def test_missing_columns_are_all_named(tmp_path: Path):
    table = two_class().drop(columns=["label", "fold", "student"])
    text = message(table, tmp_path)
    assert "FILE: the column(s) fold, label are missing" in text
    assert "no network column; expected at least one of deployed, student, multimodal" in text


def test_table_without_rows(tmp_path: Path):
    assert "it has no rows below the column names" in message(two_class().iloc[:0], tmp_path)


def test_all_bad_values_are_named_at_once(tmp_path: Path):
    table = two_class(n=9).astype({"student": object, "fold": object})
    table.loc[0, "student"] = "high"
    table.loc[1, "fold"] = "first"
    table.loc[2, "PATIENT"] = np.nan
    text = message(table, tmp_path)
    assert "FILE: column student holds what is not a number: high." in text
    assert "FILE: column fold holds what is not a number: first." in text
    assert "FILE: column PATIENT is empty in 1 row(s)." in text


def test_probabilities_outside_the_unit_interval(tmp_path: Path):
    table = two_class(n=9)
    table.loc[4, "student"] = 1.2
    table.loc[5, "student_threshold"] = -0.1
    text = message(table, tmp_path)
    assert "column student has values outside 0 to 1 for patient(s) P004." in text
    assert "column student_threshold has values outside 0 to 1 for patient(s) P005." in text


def test_infinite_probability(tmp_path: Path):
    table = two_class(n=9)
    table.loc[4, "student"] = np.inf
    assert "column student holds what is not a number: inf" in message(table, tmp_path)


def test_duplicate_patients(tmp_path: Path):
    table = two_class(n=9)
    text = message(pd.concat([table, table.iloc[[2, 3]]]), tmp_path)
    assert "patient(s) P002, P003 have more than one row for the same target" in text


def test_one_patient_with_two_labels(tmp_path: Path):
    table = two_class(n=9)
    table.loc[table.index[-1], "label"] = "negative"
    assert "patient(s) P008 have different labels" in message(table, tmp_path)


def test_a_third_label_of_a_two_class_target(tmp_path: Path):
    table = two_class(n=9, methods=[("mkd", 1.0)])
    table.loc[5, "label"] = "equivocal"
    text = message(table, tmp_path)
    assert "target ER: column label holds 2 classes beside the positive class positive" in text
    assert "equivocal is the label of patient(s) P005" in text


def test_two_positive_classes(tmp_path: Path):
    table = two_class(n=9)
    table.loc[:3, "positive_class"] = "negative"
    assert "must name one class in every row" in message(table, tmp_path)
    table.loc[:3, "positive_class"] = np.nan
    assert "found positive and empty cells" in message(table, tmp_path)


def test_no_positive_class_and_no_class_columns(tmp_path: Path):
    table = two_class(n=9).assign(positive_class=np.nan)
    assert "positive_class is empty and fewer than three" in message(table, tmp_path)


def test_multiclass_problems(tmp_path: Path):
    table = three_class()
    table.loc[3, "label"] = "Her2"
    table.loc[7, "student:LumA"] = 0.0
    text = message(table, tmp_path)
    assert "column label holds Her2, not among the classes Basal, LumA, LumB" in text
    assert "for patient(s) P003" in text
    assert "class probabilities of student do not sum to 1 for patient(s) P007" in text


def test_classes_of_targets():
    assert target_classes(two_class()) == ("negative", "positive")
    assert target_classes(three_class()) == ("Basal", "LumA", "LumB")
    alone = two_class().query("label == 'positive'")
    assert target_classes(alone) == ("not positive", "positive")


def test_answers_average_seeds_and_leave_out_the_unlabelled_and_unanswered():
    table = two_class(n=9, methods=[("mkd", 1.0)], seeds=(0, 1))
    table.loc[table["PATIENT"] == "P001", "label"] = np.nan
    table.loc[table["PATIENT"] == "P002", "student"] = np.nan
    table.loc[table["seed"] == 1, "student_threshold"] = 0.3
    answers = answers_of(table, "student", ("negative", "positive"))
    assert answers.patients == ("P000", "P003", "P004", "P005", "P006", "P007", "P008")
    of_patient = table.loc[table["PATIENT"] == "P004", "student"]
    assert answers.positive[2] == pytest.approx(of_patient.mean())
    assert answers.thresholds == pytest.approx(np.full(7, 0.4))
    assert answers.y.tolist() == [0, 0, 1, 1, 0, 1, 1]


def test_answers_of_a_network_that_never_answers_are_empty():
    for table, network in ((two_class(), "genomic"), (three_class(), "genomic")):
        answers = answers_of(table, network, target_classes(table))
        assert len(answers) == 0
        assert answers.probabilities.shape == (0, len(target_classes(table)))


def test_names_that_a_spreadsheet_would_compute_are_guarded_and_read_back(tmp_path: Path):
    table = two_class(n=4)
    table["method"] = "+" + table["method"]
    names = ["=cmd|' /C calc'!A0", "-P2", "@P3", "'=P4"]
    table["PATIENT"] = table["PATIENT"].replace(table["PATIENT"].unique().tolist(), names)
    path = tmp_path / "predictions.csv"
    write_predictions(path, table)
    cells = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert not [cell for row in cells for cell in row if cell.startswith(("=", "+", "-", "@"))]
    pd.testing.assert_frame_equal(read_predictions(path), table, check_exact=True)


@pytest.mark.parametrize("lines", [1, 5])
def test_a_cut_table_of_a_finished_run_is_refused(tmp_path: Path, lines: int):
    path = tmp_path / "predictions.csv"
    write_predictions(path, two_class())
    finished.finish(tmp_path, [path.name])
    assert len(read_predictions(path)) == len(two_class())
    whole = path.read_text().splitlines(keepends=True)
    path.write_text("".join(whole[:-lines]))
    with pytest.raises(InputError) as caught:
        read_predictions(path)
    assert caught.value.problems[0].startswith(
        f"{path}: has changed since it was written: {len(whole) - lines} lines now, "
        f"{len(whole)} then; copy it again"
    )
    # What is saved by another name on purpose has no record.
    assert len(read_predictions(path.rename(tmp_path / "some.csv"))) == len(whole) - lines - 1


def test_a_table_that_was_cut_within_its_last_cell_is_told(tmp_path: Path):
    path = tmp_path / "predictions.csv"
    write_predictions(path, two_class())
    path.write_bytes(path.read_bytes()[:-2])
    notes: list[str] = []
    read_predictions(path, notes)
    (note,) = notes
    assert "does not end as the others do" in note


def test_predictions_of_a_bundle_are_told_apart(tmp_path: Path):
    path = tmp_path / "new.csv"
    path.write_text("PATIENT,student,answered_by\nP1,0.5,student\n")
    with pytest.raises(InputError, match=r"holds predictions of a bundle .* --clinical FILE"):
        read_predictions(path)
