"""Words for classes, deaths and what is not known, as hospitals and other programs write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from histodistill.cohort import SurvivalColumns, read_clinical
from histodistill.cohort.targets import Target
from histodistill.errors import InputError

ER = Target(name="ER", column="ER", classes=("negative", "positive"), positive="positive")
SURVIVAL = SurvivalColumns(time="TIME", event="EVENT")


def written(tmp_path: Path, header: str, *rows: str) -> Path:
    path = tmp_path / "clinical.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("positive", "negative"),
    [
        ("+", "-"),
        ("ER positive", "ER negative"),
        ("1:positive", "0:negative"),
        ("POSITIVE*", "NEGATIVE*"),
        ("'positive'", "'negative'"),
        ("detected", "not detected"),
        ("P", "N"),
    ],
)
def test_the_recipe_gives_both_classes_their_words(
    tmp_path: Path, positive: str, negative: str
) -> None:
    path = written(tmp_path, "PATIENT,ER", f"A,{positive}", f"B,{negative}")
    with pytest.raises(InputError) as refusal:
        read_clinical(path, [ER])
    (problem,) = refusal.value.problems
    assert ": negative" in problem
    assert ": positive" in problem
    mapped = ER.model_copy(update={"map": {positive: "positive", negative: "negative"}})
    assert read_clinical(path, [mapped]).labels["ER"].tolist() == [1, 0]


@pytest.mark.parametrize("word", ["low positive", "not positive", "positive or negative"])
def test_a_word_that_changes_the_class_is_not_guessed(tmp_path: Path, word: str) -> None:
    path = written(tmp_path, "PATIENT,ER", f"A,{word}", "B,negative")
    with pytest.raises(InputError, match=rf"map: {{{word}: null}}"):
        read_clinical(path, [ER])


@pytest.mark.parametrize("code", ["Not Allowed To Collect", "k.A.", "keine Angabe", "inconnu"])
def test_codes_of_the_gdc_and_of_other_languages_are_unknown(tmp_path: Path, code: str) -> None:
    path = written(tmp_path, "PATIENT,ER", f"A,{code}", "B,negative")
    read = read_clinical(path, [ER])
    assert read.labels["ER"].isna().tolist() == [True, False]
    assert any(f"'{code}' (1) count as unknown" in note for note in read.notes)


@pytest.mark.parametrize(
    ("dead", "alive"),
    [("Died of Disease", "Living"), ("dead of other causes", "Alive"), ("verstorben", "lebt")],
)
def test_deaths_in_words(tmp_path: Path, dead: str, alive: str) -> None:
    path = written(tmp_path, "PATIENT,TIME,EVENT", f"A,1,{dead}", f"B,2,{alive}")
    survival = read_clinical(path, [], survival=SURVIVAL).survival
    assert survival is not None
    assert survival["event"].tolist() == [True, False]


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_names_of_rows_are_the_patients_unless_they_count(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, f"{name},ER", "A7,positive", "B3,negative")
    read = read_clinical(path, [ER])
    assert read.patients == ("A7", "B3")
    assert any(f"column '{name}' was read as 'PATIENT'" in note for note in read.notes)
    counted = written(tmp_path, f"{name},ER", "1,positive", "2,negative")
    with pytest.raises(InputError, match="has no column 'PATIENT'"):
        read_clinical(counted, [ER])
