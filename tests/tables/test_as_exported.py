"""Tables with the marks that programs leave in them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.tables import Column, read_table, resolved_columns

ROWS = "P1,positive,1.5\nP2,negative,2.5\nP3,positive,3.5\n"
TABLE = f"PATIENT,ER,TIME\n{ROWS}"


def read(tmp_path: Path, text: str, notes: list[str] | None = None) -> pd.DataFrame:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    return read_table(path, notes)


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\n" + TABLE.replace(",", ";"),
        '"sep=,"\n' + TABLE,
        "sep=\t\r\n" + TABLE.replace(",", "\t"),
        TABLE.replace(",", " "),
        TABLE.replace("ER", "ER\u200b").replace("P2", "\ufeffP2"),
    ],
)
def test_marks_of_programs_do_not_change_a_table(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).equals(read(tmp_path, TABLE))


def test_a_path_with_blanks_is_one_cell(tmp_path: Path) -> None:
    table = read(tmp_path, "slide path\n/my/a b.svs\n/my/c d.svs\n")
    assert table.columns.tolist() == ["slide path"]


def test_remarks_below_the_header_are_left_out_and_told(tmp_path: Path) -> None:
    notes: list[str] = []
    table = read(tmp_path, TABLE.replace("P2", "# checked\nP2") + "# the end,,\n", notes)
    assert table["PATIENT"].tolist() == ["P1", "P2", "P3"]
    assert any(
        "that hold a remark alone were left out (2), such as '# checked'" in n for n in notes
    )


def test_an_empty_first_sheet_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame().to_excel(book, sheet_name="Sheet1")
        pd.DataFrame({"PATIENT": ["P1"]}).to_excel(book, sheet_name="Data", index=False)
    assert read_table(path)["PATIENT"].tolist() == ["P1"]


def wanted(path: Path) -> list[str]:
    notes: list[str] = []
    problems: list[str] = []
    columns = [Column("PATIENT"), Column("ER")]
    resolved_columns(read_table(path, notes), columns, path, notes, problems)
    return problems


def test_columns_on_another_sheet_are_told_with_the_sheet(tmp_path: Path) -> None:
    path = tmp_path / "table.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame({"About": ["a", "b"]}).to_excel(book, sheet_name="README", index=False)
        pd.DataFrame({"PATIENT": ["P1"]}).to_excel(book, sheet_name="Data", index=False)
    absent, sheet = wanted(path)
    assert "has no column 'PATIENT', 'ER', but one column, 'About'" in absent
    assert "the first sheet, 'README', is read, and not 'Data'" in sheet


@pytest.mark.parametrize("mark", ["^", "~", ":"])
def test_another_delimiter_is_one_problem_with_the_recipe(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(TABLE.replace(",", mark))
    (problem,) = wanted(path)
    assert "If other marks than comma, semicolon, tab or bar stand" in problem


def test_an_empty_table_of_remarks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is empty"):
        read(tmp_path, "PATIENT,ER\n# nothing,\n")
