"""Tables as R, GCT tools and spreadsheets of other countries write them: read right, or refused."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from histodistill.genomics import GenomicTable
from tests.genomics.test_readers import read, refused, write

PATIENTS = ["TCGA-A1-A0SB", "TCGA-A1-A0SD", "TCGA-A1-A0SE"]
GENES = ["ESR1", "PGR", "ERBB2", "GATA3"]
VALUES = np.array([[1.25, -2, 0.5, 10], [0, 3.125, -1, 2.5], [7, 8, 9.75, -0.25]], np.float32)


def as_r(*, genes_in_rows: bool, delimiter: str = "\t", quoted: bool = True) -> str:
    """What R's ``write.table`` writes of a matrix with row and column names."""
    quote = '"' if quoted else ""
    samples = [f"{patient}-01" for patient in PATIENTS]
    rows, columns = (GENES, samples) if genes_in_rows else (samples, GENES)
    values = VALUES.T if genes_in_rows else VALUES
    lines = [delimiter.join(f"{quote}{name}{quote}" for name in columns)]
    for name, row in zip(rows, values, strict=True):
        lines.append(delimiter.join([f"{quote}{name}{quote}", *(f"{value:g}" for value in row)]))
    return "\n".join(lines) + "\n"


def check(table: GenomicTable) -> None:
    assert list(table.values.index) == PATIENTS
    assert list(table.values.columns) == GENES
    np.testing.assert_array_equal(table.values.to_numpy(), VALUES)


@pytest.mark.parametrize("genes_in_rows", [True, False])
@pytest.mark.parametrize(("delimiter", "quoted"), [("\t", False), ("\t", True), (" ", True)])
def test_r_writes_no_name_for_its_row_names(tmp_path, genes_in_rows, delimiter, quoted):
    text = as_r(genes_in_rows=genes_in_rows, delimiter=delimiter, quoted=quoted)
    check(read(write(tmp_path / "x.txt", text)))
    named = text.replace("\n", "\n", 1)
    check(read(write(tmp_path / "na.txt", (f'""{delimiter}' if quoted else delimiter) + named)))


def test_row_names_that_are_no_barcodes_must_be_said_to_be_genes_or_patients(tmp_path):
    text = as_r(genes_in_rows=True).replace("TCGA-", "P").replace("-01", "")
    path = write(tmp_path / "x.txt", text)
    told = refused(path)
    assert "its first column has no name, as R writes names of rows" in told
    assert "`format: xena` for genes, `format: plain` for patients" in told
    assert list(read(path, format="xena").values.columns) == GENES
    assert list(read(path, format="plain").values.index) == GENES


def test_an_extra_delimiter_at_the_end_of_rows_is_no_row_name(tmp_path):
    path = write(tmp_path / "x.txt", "Hugo_Symbol\tP1\tP2\nESR1\t1\t2\t\nPGR\t3\t4\t\n")
    assert "has 4 cells where the header has 3" in refused(path)


def gct(version: str, *, n_genes: int = len(GENES)) -> str:
    samples = [f"{patient}-01" for patient in PATIENTS]
    cells = [[f"{value:g}" for value in row] for row in VALUES.T]
    if version == "#1.2":
        head = [f"{n_genes}\t{len(samples)}", "\t".join(["Name", "Description", *samples])]
        ids = [[f"ENSG0000000000{i}.3", gene] for i, gene in enumerate(GENES)]
    else:
        sizes = f"{n_genes}\t{len(samples)}\t2\t1"
        head = [sizes, "\t".join(["id", "geneSymbol", "length", *samples])]
        head.append("\t".join(["subtype", "na", "na", *("LumA" for _ in samples)]))
        ids = [[f"ENSG0000000000{i}", gene, "7"] for i, gene in enumerate(GENES)]
    rows = ["\t".join([*names, *row]) for names, row in zip(ids, cells, strict=True)]
    return "\n".join([version, *head, *rows]) + "\n"


@pytest.mark.parametrize("version", ["#1.2", "#1.3"])
@pytest.mark.parametrize("name", ["x.gct", "x.gct.gz"])
def test_gct(tmp_path, version, name):
    check(read(write(tmp_path / name, gct(version))))


@pytest.mark.parametrize("version", ["#1.2", "#1.3"])
def test_a_gct_file_that_was_cut_or_has_no_sizes_is_refused(tmp_path, version):
    whole = gct(version)
    cut = write(tmp_path / "cut.gct", whole[: whole.rindex("ENSG")])
    assert "tells 4 genes and 3 samples, and it has 3 and 3; was it cut?" in refused(cut)
    sizeless = write(tmp_path / "s.gct", re.sub(r"\n.*?\n", "\nnothing\n", whole, count=1))
    assert "is no GCT file of version 1.2 or 1.3" in refused(sizeless)


def test_gct_of_symbols_keeps_them(tmp_path):
    text = "#1.2\n2\t1\nName\tDescription\tP1\nESR1\tna\t1\nPGR\tna\t2\n"
    assert list(read(write(tmp_path / "x.gct", text)).values.columns) == ["ESR1", "PGR"]


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas_are_read_and_told(tmp_path, delimiter):
    table = pd.DataFrame(VALUES, columns=GENES, index=pd.Index(PATIENTS, name="PATIENT"))
    table.to_csv(tmp_path / "x.csv", sep=delimiter, decimal=",")
    found = read(tmp_path / "x.csv")
    check(found)
    assert found.notes == ("Commas in its numbers were read as decimal commas.",)


@pytest.mark.parametrize(
    "cells", ["1,234;2,500", "1,234.5;2", "1.234,5;2", "1,5;2.5", "1,234,567;1"]
)
def test_commas_that_may_mean_two_things_are_refused_once_with_the_recipe(tmp_path, cells):
    path = write(
        tmp_path / "x.csv", "PATIENT;ESR1;PGR\n" + "".join(f"P{i};{cells}\n" for i in "123")
    )
    (told,) = refused(path).splitlines()
    assert "may stand before decimals or between thousands" in told
    assert "dec = '.'" in told


def test_utf_16_is_read_and_windows_text_refused_with_the_recipe(tmp_path):
    text = "PATIENT\tESR1\tPGR\nM\u00fcller\t1.5\t2\nMaier\t3\t4\n"
    path = tmp_path / "x.txt"
    path.write_bytes(text.encode("utf-16"))
    table = read(path).values
    assert table.loc["M\u00fcller", "ESR1"] == 1.5
    path.write_bytes(text.encode("cp1252"))
    (told,) = refused(path).splitlines()
    assert "iconv -f WINDOWS-1252 -t UTF-8" in told


@pytest.mark.parametrize("blank", ["\n", "   \n", "\t\t\n", " \t \t\n"])
def test_blank_rows_are_nobody(tmp_path, blank):
    text = f"PATIENT\tESR1\tPGR\n{blank}P1\t1\t2\n{blank}P2\t3\t4\n{blank}"
    table = read(write(tmp_path / "x.tsv", text)).values
    assert table.to_dict("index") == {"P1": {"ESR1": 1, "PGR": 2}, "P2": {"ESR1": 3, "PGR": 4}}
    genes = text.replace("PATIENT\tESR1\tPGR", "sample\tP1\tP2").replace("P1\t1", "ESR1\t1")
    assert list(read(write(tmp_path / "y.tsv", genes)).values.index) == ["P1", "P2"]


@pytest.mark.parametrize("row", ["ESR1\t3\0005.66\n", "ES\0R1\t3\n"])
def test_nul_bytes_are_never_passed_over(tmp_path, row):
    assert "x.tsv" in refused(write(tmp_path / "x.tsv", "sample\tP1\n" + "PGR\t1\n" * 99 + row))


@pytest.mark.parametrize(
    ("given", "text", "found"),
    [
        ("xena", "Hugo_Symbol\tEntrez_Gene_Id\tP1\nESR1\t2099\t1\n", "cBioPortal's layout"),
        ("xena", "PATIENT\tESR1\nP1\t1\n", "the layout patients x genes"),
        ("plain", "Hugo_Symbol\tP1\nESR1\t1\n", "cBioPortal's layout"),
        ("plain", "#1.2\n1\t1\nName\tDescription\tP1\nESR1\t\t1\n", "the layout GCT"),
        ("cbioportal", "sample\tP1\nESR1\t1\n", "Xena's layout"),
    ],
)
def test_a_format_that_the_content_contradicts(tmp_path, given, text, found):
    told = refused(write(tmp_path / "x.txt", text), format=given)
    assert f"has {found}" in told
    assert f"and the format {given!r} was given" in told


@pytest.mark.parametrize("format_", ["cbioportal", "xena", "h5ad"])
def test_a_format_that_a_parquet_file_contradicts(tmp_path, format_):
    pd.DataFrame({"PATIENT": ["P1"], "ESR1": [1.0]}).to_parquet(tmp_path / "x.parquet")
    assert "has the layout patients x genes" in refused(tmp_path / "x.parquet", format=format_)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("sample\tP1\nPGR\t1\nES\0R1\t3\n", "line 3 ('ES\\x00R1') holds a NUL byte"),
        ("sample\tP1\nPGR\t1\nES\x02R1\t3\n", "line 3 ('ES\\x02R1') holds the control character"),
        ("sample\tP\x021\nPGR\t1\n", "line 1 holds the control character '\\x02'"),
        ("PATIENT\tPGR\nP1\t1\nP\x1b2\t3\n", "line 3 ('P\\x1b2') holds the control character"),
    ],
)
def test_control_characters_in_names_are_refused_with_their_line(tmp_path, text, line):
    assert line in refused(write(tmp_path / "x.tsv", text))
