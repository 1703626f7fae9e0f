import pandas as pd
import pytest

from histodistill.cohort import Fold, read_folds
from histodistill.errors import InputError

LABELS = pd.Series({"a": 0, "b": 1, "c": 0, "d": 1}, dtype="Int64")
CLASSES = ("negative", "positive")
FIRST = ",train,train_label,val,val_label,test,test_label\n0,a,0,c,0,d,1\n1,b,1,,,,\n"
SECOND = ",train,train_label,val,val_label,test,test_label\n0,d,1,c,0,b,1\n1,,,,,a,0\n"


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def write(folder, *texts):
    for number, text in enumerate(texts):
        (folder / f"splits_{number}.csv").write_text(text)


def problems(folder, labels=LABELS, classes=CLASSES):
    with pytest.raises(InputError) as caught:
        read_folds(folder, labels, classes)
    return caught.value.problems


def test_the_three_way_layout(folder):
    write(folder, FIRST, SECOND)
    (folder / "splits_0_bool.csv").write_text("not a fold")
    read = read_folds(folder, LABELS, CLASSES)
    assert read.folds == (
        Fold(0, 0, ("a", "b"), ("c",), ("d",)),
        Fold(1, 0, ("d",), ("c",), ("a", "b")),
    )
    assert read.absent == ()
    assert read.unassigned == ()
    assert read.untested == ("c",)
    assert read.notes == (f"{folder}: labelled patients of the cohort in no test part (1): c.",)


def test_files_are_ordered_by_number(folder):
    header = "train,val,test"
    write(folder, *[f"{header}\na,c,p{number}\n" for number in range(11)])
    labels = pd.Series({"a": 0, "c": 1, **{f"p{number}": 0 for number in range(11)}})
    tests = [fold.test for fold in read_folds(folder, labels).folds]
    assert tests == [(f"p{number}",) for number in range(11)]


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace(",0,", ",0.0,").replace(",1\n", ",1.0\n"),
        lambda text: text.replace(",0,", ",negative,").replace(",1\n", ",positive\n"),
        lambda text: "".join(
            ",".join(line.split(",")[i] for i in (1, 3, 5)) + "\n" for line in text.splitlines()
        ),
    ],
    ids=["floats", "names", "no labels"],
)
def test_labels_may_be_floats_names_or_absent(folder, rewrite):
    write(folder, FIRST)
    expected = read_folds(folder, LABELS, CLASSES)
    write(folder, rewrite(FIRST))
    assert read_folds(folder, LABELS, CLASSES) == expected


def test_a_class_called_by_a_digit_is_a_name_before_it_is_a_number(folder):
    write(folder, FIRST)
    assert read_folds(folder, 1 - LABELS, ("1", "0")).folds == read_folds(folder, LABELS).folds


def test_patients_on_one_side_only_are_told(folder):
    write(folder, FIRST.replace("1,b,1,,,,", "1,b,1,x,0,y,1"))
    labels = pd.concat([LABELS, pd.Series({"e": 1, "y": None}, dtype="Int64")])
    read = read_folds(folder, labels, CLASSES)
    assert read.folds == (Fold(0, 0, ("a", "b"), ("c",), ("d",)),)
    assert read.absent == ("x", "y")
    assert read.unassigned == ("e",)
    assert read.untested == ("a", "b", "c", "e")
    assert read.notes[:2] == (
        f"{folder}: patients without a label in the cohort, left out of the folds (2): x, y.",
        f"{folder}: labelled patients of the cohort in no fold (1): e.",
    )


def test_labels_that_contradict_the_clinical_table(folder):
    write(folder, FIRST.replace("c,0", "c,1").replace("b,1", "b,odd"), SECOND)
    assert problems(folder) == (
        f"{folder / 'splits_0.csv'}: labels contradict the clinical table for b ('odd', not "
        "'positive'), c ('1', not 'negative'); correct one of the two.",
    )


def test_classes_in_the_other_order_are_suspected(folder):
    write(folder, FIRST)
    (only,) = problems(folder, 1 - LABELS, ("positive", "negative"))
    assert only.endswith("All of them do: are the classes declared in the other order?")


def test_folders_that_hold_no_folds(folder):
    assert problems(folder) == (f"{folder}: holds no fold files splits_0.csv, splits_1.csv, ...",)
    (folder / "splits_2.csv").write_text(FIRST)
    assert problems(folder) == (f"{folder}: fold files are missing: splits_0.csv, splits_1.csv.",)


def test_every_file_with_a_problem_is_told(folder):
    write(folder, FIRST.replace("val", "valid"), FIRST.replace("a,0", "a,1"))
    missing, contradiction = problems(folder)
    assert "splits_0.csv: has no column 'val'; do you mean 'valid'?" in missing
    assert "splits_1.csv: labels contradict" in contradiction


def test_patients_who_cross_are_told_with_the_folder(folder):
    write(folder, FIRST.replace("d,1", "a,0"), FIRST)
    assert problems(folder) == (
        f"{folder}: Fold 0 of repeat 0 has patients in both train and test: a.",
    )


def test_folds_of_another_cohort(folder):
    write(folder, FIRST)
    assert problems(folder, LABELS.rename(str.upper)) == (
        f"{folder}: none of its patients (for example a) has a label in the cohort; are these "
        "the folds of another cohort or target?",
    )


def test_patients_whom_nobody_knows_are_a_problem(folder):
    write(folder, FIRST, SECOND)
    assert read_folds(folder, LABELS, CLASSES, known=LABELS.index).folds
    with pytest.raises(InputError, match=r"1 of its patients are not in the clinical table: d; "):
        read_folds(folder, LABELS, CLASSES, known=["a", "b", "c"])
