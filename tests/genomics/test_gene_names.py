import pytest

from histodistill.genomics.gene_names import (
    absent_names,
    date_notes,
    is_date,
    normalised,
    number_problem,
    shortened_notes,
)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ESR1|2099", "ESR1"),
        ("ENSG00000091831.24", "ENSG00000091831"),
        ("ENSG00000091831.24|ESR1", "ESR1"),
        ("ENSG00000182378.15_PAR_Y", "ENSG00000182378_PAR_Y"),
        ("?|100130426", ""),
        ("NA", ""),
        ("nan", ""),
        ("HLA-A", "HLA-A"),
        ("AC012345.1", "AC012345.1"),
        ("2099", "2099"),
        ("", ""),
    ],
)
def test_names_as_files_write_them(written, name):
    assert normalised(written) == name


def test_shortened_names_are_counted():
    (note,) = shortened_notes(["ESR1|2099", "PGR", "NA"], ["ESR1", "PGR", ""])
    assert note == "1 gene names were shortened, such as ESR1|2099 to ESR1."


def test_dates_are_told_and_symbols_are_none():
    dates = ["1-Mar", "2-Sep", "Mar-01", "2001-03-01 00:00:00", "01/03/2001"]
    assert all(map(is_date, dates))
    assert all(map(is_date, ["01.Sep", "1. Mrz", "Okt 05", "5. Dez", "1-Mär", "Mrz-02"]))
    assert not any(map(is_date, ["MARCH1", "SEPT2", "DEC1", "NKX2-1", "HLA-A", "7SK", "MAR1"]))
    (note,) = date_notes(["ESR1", *dates])
    assert "5 genes are named by dates and were left out: 1-Mar, 2-Sep" in note
    assert list(date_notes(["ESR1"])) == []
    (note,) = date_notes(["ESR1", "43891", "PGR", "100130426", "ERBB2"])
    assert note.startswith("1 genes are named by dates and were left out: 43891;")


def test_entrez_ids_are_no_days() -> None:
    assert list(date_notes(["2099", "43891", "5241", "2064"])) == []


def test_numbered_genes_are_refused_and_entrez_ids_are_not():
    assert "numbered (0 to 2)" in str(number_problem(["0", "1", "2"]))
    assert number_problem(["2099", "5241", "2064"]) is None
    assert number_problem(["0", "ESR1"]) is None


def test_every_name_that_no_gene_has_is_told():
    assert list(absent_names(["ESR1|2099", "PGR"], ["ESR1", "PGR"])) == []
    (case,) = absent_names(["esr1"], ["ESR1", "PGR"])
    assert case == "esr1 is not in the table, which has ESR1; write it as the table does"
    (near,) = absent_names(["ESR11"], ["ESR1", "PGR"])
    assert near.endswith("take it off the list, or did you mean ESR1?")
    (ids,) = absent_names(["ESR1"], ["ENSG00000091831", "ENSG00000082175"])
    assert "which has Ensembl ids" in ids
    (other,) = absent_names(["XYZ"], ["ESR1", "PGR"])
    assert other == "XYZ is not in the table; take it off the list"
