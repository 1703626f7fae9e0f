"""Tables that are opened in a spreadsheet."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histodistill.spreadsheets import guarded, read_back, read_own_csv, unguarded, write_csv

texts = st.text(st.sampled_from(list("'=+-@\t\n\r1a.,\" ＝")), max_size=8) | st.text()


@given(texts)
def test_reading_back_gives_the_true_text(text):
    assert unguarded(guarded(text)) == text


@given(texts)
def test_no_cell_begins_with_a_sign_unless_it_is_a_number(text):
    cell = guarded(text)
    if cell[:1] in "=+-@\t\r\n＝＋－＠" and cell:
        float(cell)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd", "'+1+cmd"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-slide", "'-slide"),
        ("'=x", "''=x"),
        ("'quoted'", "'quoted'"),
        ("-0.5", "-0.5"),
        ("slide=1", "slide=1"),
        ("", ""),
    ],
)
def test_what_becomes_of_a_cell(text, cell):
    assert guarded(text) == cell


def test_a_table_is_guarded_and_read_back(tmp_path):
    frame = pd.DataFrame(
        {"=name": ["=1+1", "plain", None], "value": [-1.5, 2.0, 3.0], "count": [-1, 2, 3]}
    )
    write_csv(tmp_path / "a.csv", frame)
    content = (tmp_path / "a.csv").read_text().splitlines()
    assert content == ["'=name,value,count", "'=1+1,-1.5,-1", "plain,2.0,2", ",3.0,3"]
    assert frame["=name"].tolist()[0] == "=1+1", "the caller's table is left alone"
    again = read_back(pd.read_csv(tmp_path / "a.csv"))
    pd.testing.assert_frame_equal(again.fillna(""), frame.fillna(""), check_dtype=False)


def test_a_table_without_such_cells_is_written_as_it_is(tmp_path):
    frame = pd.DataFrame(
        {
            "name": ["a", None, "-1.5"],
            "mixed": [1, "b", None],
            "count": pd.array([1, None, 3], dtype="Int64"),
            "when": pd.to_datetime(["2026-01-01", "2026-01-02", "2026-01-03"]),
            "kind": pd.Categorical(["x", "y", None]),
            "value": [0.1, float("nan"), 1e-300],
        }
    )
    write_csv(tmp_path / "a.csv", frame)
    assert (tmp_path / "a.csv").read_text() == frame.to_csv(index=False)


def test_a_table_of_ours_is_read_to_the_last_bit(tmp_path):
    numbers = np.random.default_rng(0).random(500)
    table = pd.DataFrame({"PATIENT": ["007"] * 500, "p": numbers, "note": ["=x"] * 500})
    write_csv(tmp_path / "table.csv", table)
    pd.testing.assert_frame_equal(read_own_csv(tmp_path / "table.csv"), table, check_exact=True)
