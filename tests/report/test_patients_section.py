"""The table of patients: all of a cohort, of a very large one those to whom something leads."""

import pandas as pd
import pytest

from histodistill.report.patients_section import MOST_ROWS, patients_section


@pytest.mark.parametrize("n", [50, MOST_ROWS + 1])
def test_of_a_very_large_cohort_the_page_has_those_who_are_led_to(n: int, tmp_path) -> None:
    names = [f"P{k:05d}" for k in range(n)]
    anchors = {name: f"p{k}" for k, name in enumerate(names)}
    answers = pd.DataFrame({"label": "a", "p": 0.25, "wrong": 0.0}, index=names)
    made = patients_section(tmp_path, anchors, None, {"ER": answers}, {"p3", "p7"})
    shown = names if n <= MOST_ROWS else ["P00003", "P00007"]
    assert [row.name for row in made.rows] == shown
    assert made.rows[0].cells == ("a", "0.250")
    assert made.left_out == n - len(shown)
    assert len(pd.read_csv(tmp_path / "tables" / "patients.csv")) == n
