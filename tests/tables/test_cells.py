from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.tables import number, numbers, same_value, without_missing_codes
from histodistill.tables.cells import is_missing, numeric_code

PATH = Path("t.csv")


def column(*cells: str) -> pd.Series:
    return pd.Series([cell or np.nan for cell in cells], name="x", dtype=object)


@pytest.mark.parametrize(
    "code",
    [
        *("NA", "n/a", "NaN", "nan", "'--", "--", "[Not Available]", "[Not Evaluated]"),
        *("[Unknown]", "Not Reported", "None", "NULL", "#N/A", "<NA>", "?", "unknown"),
    ],
)
def test_codes_of_the_sources(code):
    assert is_missing(code)


@pytest.mark.parametrize("word", ["Indeterminate", "Equivocal", "negative", "0", "no", "N"])
def test_results_are_no_codes(word):
    assert not is_missing(word)


def test_codes_are_emptied_and_counted():
    notes: list[str] = []
    cells = without_missing_codes(column("NA", "", "1", "NA", "--"), PATH, notes)
    assert cells.isna().tolist() == [True, True, False, True, True]
    assert notes == ["t.csv: column 'x': 'NA' (2), '--' (1) count as unknown."]
    kept = without_missing_codes(column("NA", "1"), PATH, notes, frozenset({"NA"}))
    assert kept.tolist() == ["NA", "1"]
    assert len(notes) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", 1.0), ("-0.5", -0.5), (".5", 0.5), ("1e3", 1000.0), ("1_000", None)),
        *(("inf", None), ("nan", None), ("1e999", None), ("1,5", None), ("", None)),
    ],
)
def test_numbers_of_a_table(text, value):
    assert number(text) == value


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("62,5", "41"), [62.5, 41.0]),
        (("1,234", "1,5"), [1.234, 1.5]),
        (("0,234",), [0.234]),
        (("1,234", "2,345"), [None, None]),  # thousands?
        (("1,5", "2.5"), [None, 2.5]),  # both marks: nobody knows
        (("1.234,5",), [None]),
    ],
)
def test_a_decimal_comma_is_recognised_only_where_it_is_sure(cells, expected):
    notes: list[str] = []
    found = numbers(column(*cells), PATH, notes)
    assert [None if np.isnan(value) else value for value in found] == expected
    assert bool(notes) == (None not in expected)


def test_one_value_in_several_spellings():
    assert same_value("Positive") == same_value(" positive")
    assert same_value("1.0") == same_value("1") != same_value("1.5")


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([1.5, -99, 2.0, -99, -1.0], (-99, 2)),
        ([3.0, 9999, 120.0, 9999, 9999], (9999, 3)),
        ([0.0, -9, 812.0, -9, np.nan], (-9, 2)),
        ([1.5, -99, 2.0], None),  # one value may be a measurement
        ([1200.0, 999, 998, 999, 0], None),  # among others
        ([-9, -9, 1.0, 8.0, -7.0], None),
        ([-99, -99], None),
        ([], None),
    ],
)
def test_codes_among_numbers(numbers, code):
    assert numeric_code(np.array(numbers, dtype=np.float32)) == code
