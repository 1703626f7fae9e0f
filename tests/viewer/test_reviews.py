"""Verdicts are on disk when they are given, and no earlier one goes."""

from pathlib import Path

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.viewer.reviews import Review, Reviews


def review(patient: str = "A", verdict="agree", remark: str = "", reviewer: str = "R") -> Review:
    return Review(patient, "ER", "m", "positive", verdict, remark, reviewer)


def test_the_last_verdict_counts_and_all_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    reviews = Reviews(path)
    reviews.save(review())
    reviews.save(review("B", "not assessable", "=1+1, folded"))
    reviews.save(review("A", "disagree", "necrosis"))
    reviews.save(review("A", "agree", reviewer="S"))
    again = Reviews(path).latest("ER", "m", "R")
    assert {p: (r.verdict, r.remark) for p, r in again.items()} == {
        "A": ("disagree", "necrosis"),
        "B": ("not assessable", "=1+1, folded"),
    }
    assert len(pd.read_csv(path)) == 4
    assert "'=1+1" in path.read_text()  # no spreadsheet computes it
    assert Reviews(path).latest("PR", "m", "R") == {}


def test_two_viewers_write_to_one_file(tmp_path: Path) -> None:
    one, other = (Reviews(tmp_path / "reviews.csv") for _ in range(2))
    for number in range(3):
        one.save(review(f"A{number}"))
        other.save(review(f"B{number}"))
    assert len(one.latest("ER", "m", "R")) == 6


def test_foreign_tables_are_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "clinical.csv"
    path.write_text("PATIENT,ER\nA,positive\n")
    with pytest.raises(InputError, match="no table of verdicts"):
        Reviews(path)
    assert path.read_text() == "PATIENT,ER\nA,positive\n"
