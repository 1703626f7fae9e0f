import gzip
from pathlib import Path

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.tables import read_table

CSV = "PATIENT,ER,AGE\n007,positive,62\n012,,\n"


def zipped(text: str) -> bytes:
    """Without the time, so that every test process names its tests alike."""
    return gzip.compress(text.encode(), mtime=0)


def rows(table: pd.DataFrame) -> list[list[str | None]]:
    return [
        [None if pd.isna(cell) else cell for cell in row]
        for row in table.itertuples(index=False, name=None)
    ]


EXPECTED: list[list[str | None]] = [["007", "positive", "62"], ["012", None, None]]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("comma.csv", CSV.encode()),
        ("UPPER.CSV", CSV.encode()),
        ("bom.csv", CSV.encode("utf-8-sig")),
        ("european.csv", CSV.replace(",", ";").encode("utf-8-sig")),
        ("windows.csv", CSV.replace("\n", "\r\n").encode()),
        ("tabs.tsv", CSV.replace(",", "\t").encode()),
        ("tabs.txt", CSV.replace(",", "\t").encode()),
        ("tabs_called.csv", CSV.replace(",", "\t").encode()),
        ("excel_unicode.txt", CSV.replace(",", "\t").encode("utf-16")),
        ("small.tsv.gz", zipped(CSV.replace(",", "\t"))),
        ("small.csv.gz", zipped(CSV)),
        ("gzip_in_spite.csv", zipped(CSV)),
        ("cbioportal.txt", b"#Patient\tER status\n#1\t1\n" + CSV.replace(",", "\t").encode()),
        ("blanks.csv", b" PATIENT , ER,AGE\n 007 ,positive , 62\n012,  ,\n,,\n\n"),
        ("trailing.csv", b"PATIENT,ER,AGE,,\n007,positive,62,,\n012,,,,\n"),
    ],
)
def test_text_tables_read_alike(tmp_path, name, content):
    table = read_table(write(tmp_path / name, content))
    assert list(table.columns) == ["PATIENT", "ER", "AGE"]
    assert list(table.index) == [0, 1]
    assert rows(table) == EXPECTED


def test_words_that_pandas_takes_for_missing_stay_words(tmp_path):
    table = read_table(write(tmp_path / "t.csv", "PATIENT,SITE\nNA,None\nnan,NULL\n"))
    assert rows(table) == [["NA", "None"], ["nan", "NULL"]]


def test_a_comma_in_a_quoted_cell_does_not_decide_the_delimiter(tmp_path):
    text = 'PATIENT;NOTE\n1;"a,b,c"\n2;"x,y,z"\n'
    assert rows(read_table(write(tmp_path / "t.csv", text))) == [["1", "a,b,c"], ["2", "x,y,z"]]


def test_a_decimal_comma_does_not_decide_the_delimiter(tmp_path):
    text = "PATIENT;AGE\n1;62,5\n2;41,0\n"
    assert rows(read_table(write(tmp_path / "t.csv", text))) == [["1", "62,5"], ["2", "41,0"]]


def test_one_column_and_a_nameless_index_column(tmp_path):
    assert rows(read_table(write(tmp_path / "one.csv", "PATIENT\n007\n"))) == [["007"]]
    indexed = read_table(write(tmp_path / "indexed.csv", ",train\n0,a\n1,b\n"))
    assert list(indexed.columns) == ["", "train"]
    assert rows(indexed) == [["0", "a"], ["1", "b"]]


def test_excel(tmp_path):
    frame = pd.DataFrame(
        {"PATIENT": ["007", "012"], "ER": ["positive", None], "AGE": [62, 41], "X": [0.5, None]}
    )
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    table = read_table(tmp_path / "t.xlsx")
    assert list(table.columns) == ["PATIENT", "ER", "AGE", "X"]
    assert rows(table) == [["007", "positive", "62", "0.5"], ["012", None, "41", None]]


def test_sheets_that_are_not_read_are_told(tmp_path):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"PATIENT": ["007"]}).to_excel(book, sheet_name="Data", index=False)
        pd.DataFrame().to_excel(book, sheet_name="Sheet2", index=False)
        pd.DataFrame({"PATIENT": ["008"]}).to_excel(book, sheet_name="Corrected", index=False)
    notes: list[str] = []
    assert rows(read_table(tmp_path / "t.xlsx", notes)) == [["007"]]
    (note,) = notes
    assert "the first sheet, 'Data', is read, and not 'Corrected';" in note


def test_parquet(tmp_path):
    frame = pd.DataFrame(
        {
            "ER": ["positive", None],
            "AGE": [62.0, None],
            "X": [0.5, None],
            "DEAD": [True, False],
            "GRADE": pd.array([3, None], dtype="Int64"),
            "HER2": pd.Categorical(["a", None]),
        },
        index=pd.Index(["007", "012"], name="PATIENT"),
    )
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert list(table.columns) == ["PATIENT", "ER", "AGE", "X", "DEAD", "GRADE", "HER2"]
    assert rows(table) == [
        ["007", "positive", "62", "0.5", "True", "3", "a"],
        ["012", None, None, None, "False", None, None],
    ]


def test_a_workbook_called_csv_is_read_as_what_it_is(tmp_path):
    pd.DataFrame({"PATIENT": ["007"], "ER": ["x"]}).to_excel(tmp_path / "t.xlsx", index=False)
    renamed = (tmp_path / "t.xlsx").rename(tmp_path / "t.csv")
    assert rows(read_table(renamed)) == [["007", "x"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xls", b"\xd0\xcf\x11\xe0", "is a workbook of Excel before 2007"),
        ("t.csv", b"", "is empty."),
        ("t.csv", b" \n\n", "is empty."),
        ("t.csv", b"#only a comment", "is empty."),
        ("t.csv", b"PATIENT,ER\n", "is empty: it has no rows below the column names."),
        ("t.csv", b"PATIENT,ER\n,\n", "is empty: it has no rows below the column names."),
        ("t.csv", b"PATIENT,ER,ER\n1,a,b\n", "several columns are called 'ER'; rename them."),
        ("t.csv", b",A,\n1,2,3\n", "have no name, and cells below"),
        ("t.csv", b"PATIENT,ER\n1,a\x81\n", "is neither UTF-8 nor Windows text; save it as"),
        ("t.csv", b"PATIENT,ER\n1,3\x005.66\n", "line 2 holds a NUL byte: the file is damaged"),
        ("t.csv", b"PATIENT,E\x00R\n1,a\n", "line 1 holds a NUL byte"),
        ("t.csv", b"PATIENT,ER\n1,\x01\n", "line 2 holds the control character '\\x01'"),
        ("t.csv", b'PATIENT,ER\n1,"a\n2,b\n', "is a quotation mark missing there?"),
        (
            "t.csv",
            b"PATIENT,ER\n1,a\n2,b,c\n",
            "row 2 below the header has more cells than there are column",
        ),
        (
            "t.csv.gz",
            zipped(CSV)[:-12],
            "cannot be read (Compressed file ended",
        ),
        ("t.xlsx", b"PK\x03\x04 broken", "cannot be read (File is not a zip file)."),
        ("t.xlsx", b"PATIENT,ER\n1,a\n", "is damaged or not a .xlsx file in spite of its name"),
        ("t.parquet", b"PAR1 broken PAR1", "cannot be read as Parquet; write it again."),
        ("t.parquet", b"PATIENT,ER\n1,a\n", "is damaged or not a .parquet file"),
    ],
)
def test_bad_tables_are_named(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_an_absent_file_and_a_folder(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: there is no such file\."):
        read_table(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match=r"folder\.csv: cannot be read \("):
        read_table(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    "content",
    [
        CSV.encode("utf-16-le"),
        CSV.encode("utf-16-be"),
        CSV.encode("utf-32"),
        CSV.replace(",", "|").encode(),
        b"\n\n# a comment\n" + CSV.encode(),
        b'"#quoted comment"\n' + CSV.encode(),
        b",,\n" + CSV.encode(),
        CSV.replace("\n", "\r").encode(),
        b'"PATIENT" "ER" "AGE"\n"1" "007" "positive" "62"\n"2" "012" "" ""\n',
        b'"PATIENT","ER","AGE"\n"1","007","positive",62\n"2","012",,\n',
    ],
)
def test_text_tables_in_other_guises_need_no_suffix(tmp_path, content):
    table = read_table(write(tmp_path / "BRCA_clinicalMatrix", content))
    assert rows(table[["PATIENT", "ER", "AGE"]]) == EXPECTED


def test_windows_text_is_read_and_told(tmp_path):
    notes: list[str] = []
    path = write(tmp_path / "t.csv", "PATIENT,SITE\n1,Würzburg\n".encode("cp1252"))
    assert rows(read_table(path, notes)) == [["1", "Würzburg"]]
    (note,) = notes
    assert note.startswith(f"{path}: is not UTF-8, so it was read as Windows-1252")
    assert "Würzburg" in note


def test_rows_that_end_early_are_told(tmp_path):
    notes: list[str] = []
    path = write(tmp_path / "t.csv", "PATIENT,ER,AGE\n007,positive,62\n012\n")
    assert rows(read_table(path, notes)) == EXPECTED
    assert "1 of 2 rows end before the last column (row 2 below the header)" in notes[0]
    read_table(write(tmp_path / "whole.csv", CSV), notes)
    assert len(notes) == 1


def test_comments_above_the_header_of_a_workbook(tmp_path):
    sheet = pd.DataFrame([["#made today", None], [None, None], ["PATIENT", "ER"], ["007", "x"]])
    sheet.to_excel(tmp_path / "t.xlsx", index=False, header=False)
    table = read_table(tmp_path / "t.xlsx")
    assert list(table.columns) == ["PATIENT", "ER"]
    assert rows(table) == [["007", "x"]]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("#PATIENT,ER\nP1,positive\nP2,negative\n", ["PATIENT", "ER"]),
        ("#PATIENT\tER\nP1\tpositive\n", ["PATIENT", "ER"]),
        ("# a comment, of two parts\nPATIENT,ER\nP1,positive\n", ["PATIENT", "ER"]),
        ("#made 2026\nPATIENT,ER\nP1,positive\n", ["PATIENT", "ER"]),
        ("#Patient Id,ER\n#STRING,STRING\nPATIENT,ER\nP1,positive\n", ["PATIENT", "ER"]),
        ("#a,b,c\nPATIENT,ER\nP1,positive\n", ["PATIENT", "ER"]),
    ],
)
def test_a_header_that_begins_with_a_hash(tmp_path: Path, text: str, columns: list[str]):
    (tmp_path / "t.csv").write_text(text)
    table = read_table(tmp_path / "t.csv")
    assert list(table.columns) == columns
    assert table["PATIENT"][0] == "P1"
    rows = [line.replace("\t", ",").split(",") for line in text.splitlines()]
    pd.DataFrame(rows).to_excel(tmp_path / "t.xlsx", header=False, index=False)
    assert list(read_table(tmp_path / "t.xlsx").columns) == columns


@pytest.mark.parametrize("end", ["", "\r\n", "\n"])
def test_a_last_line_without_an_end_is_told(tmp_path: Path, end: str) -> None:
    notes: list[str] = []
    path = write(tmp_path / "t.csv", f"PATIENT,ER,AGE{end or chr(10)}007,positive,62{end}")
    read_table(path, notes)
    if end:
        assert notes == []
        return
    (note,) = notes
    assert note.startswith(f"{path}: its last line, '007,positive,62', does not end as the others")


def test_of_a_long_last_line_the_end_is_shown(tmp_path: Path) -> None:
    notes: list[str] = []
    read_table(write(tmp_path / "t.csv", "PATIENT,WORDS\n007," + "word " * 40 + "cut"), notes)
    (note,) = notes
    assert "line, '...d word" in note
    assert "word cut'" in note


@pytest.mark.parametrize("title", ["Cohort A of May\n", "Cohort A,,\n"])
def test_a_title_above_the_header_is_told(tmp_path, title):
    path = tmp_path / "clinical.csv"
    path.write_text(title + "PATIENT,ER,AGE\nP1,positive,50\nP2,negative,61\n")
    with pytest.raises(InputError, match="a title stands above the column names, delete it"):
        read_table(path)


def test_rows_that_describe_the_columns_are_left_out_and_told(tmp_path):
    names = "bcr_patient_barcode\ter"
    text = f"{names}\n{names}\nCDE_ID:2003301\tCDE_ID:2957359\nP1\tPositive\n"
    notes: list[str] = []
    table = read_table(write(tmp_path / "c.txt", text), notes)
    assert rows(table) == [["P1", "Positive"]]
    assert "the first 2 rows below the header describe the columns (CDE_ID)" in notes[0]
