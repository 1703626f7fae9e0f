"""Features of new patients: whose each file is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.workflows.new_features import NewFeatures


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("case-1_a", "case-2_b"):
        np.save(tmp_path / f"{name}.npy", np.eye(3, dtype=np.float32))
    return tmp_path


def test_the_pattern_of_the_training_serves_and_is_told(folder: Path) -> None:
    bags, notes = NewFeatures(folder).open(r"^(case-\d)")
    assert bags.patients == ["case-1", "case-2"]
    assert "by the pattern of the training, '^(case-\\d)'; give --patient-pattern" in notes[0]


def test_what_the_user_gives_goes_first(folder: Path) -> None:
    bags, notes = NewFeatures(folder, patient_pattern="_(.)$").open(r"^(case-\d)")
    assert bags.patients == ["a", "b"]
    assert notes == []
    table = folder / "slides.csv"
    table.write_text("PATIENT,FILENAME\nP1,case-1_a\nP2,case-2_b\n")
    assert NewFeatures(folder, table).open(r"^(case-\d)")[0].patients == ["P1", "P2"]


def test_without_a_pattern_barcodes_are_read(folder: Path) -> None:
    with pytest.raises(InputError, match="no patient is recognised in any file name"):
        NewFeatures(folder).open(None)


def test_a_pattern_of_the_training_that_could_match_for_ever_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match=r"the bundle: the pattern .* repeats a group"):
        NewFeatures(folder).open(r"(a+)+$")
