"""Samples to patients, repeated symbols, missing values and transforms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from histodistill.errors import InputError
from histodistill.genomics import GenomicTable, read_genomic_table
from histodistill.genomics.samples import resolve_samples


def table(folder: Path, header: list[str], rows: dict[str, list[str]] | list[list[str]], **options):
    lines = [["Hugo_Symbol", *header]]
    lines += [[k, *v] for k, v in rows.items()] if isinstance(rows, dict) else rows
    path = folder / "x.txt"
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n")
    return read_genomic_table(path, name="mRNA", **options)


def refused(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        table(*arguments, **options)
    return str(caught.value)


def test_only_primary_tumours_and_the_first_identifier_of_a_patient_stay(tmp_path):
    header = [
        "TCGA-A1-A0SB-11A",
        "TCGA-A1-A0SB-01B",
        "TCGA-A1-A0SB-01A-12R",
        "TCGA-A1-A0SB-01A-11R",
        "TCGA-A1-A0SD-06A",
        "TCGA-A1-A0SE-01A",
        "TCGA-A1-A0SE-01A",
        "P9",
    ]
    result = table(tmp_path, header, {"ESR1": list("12345678")})
    assert result.values["ESR1"].to_dict() == {"TCGA-A1-A0SB": 4, "TCGA-A1-A0SE": 6, "P9": 8}
    assert result.notes == (
        "2 samples of other sample types than 01 were left out (by TCGA sample type "
        "06 (metastasis): 1, 11 (normal tissue): 1).",
        "2 patients have more than one sample; the identifier first in alphabetical order was "
        "kept and 3 others left out: TCGA-A1-A0SB, TCGA-A1-A0SE.",
        "Of these, the same identifier is repeated for TCGA-A1-A0SE; the first kept.",
    )


def test_a_pattern_names_the_patients_of_other_identifiers(tmp_path):
    header = ["H1-007-T", "H1-007-N", "BRCA_TCGA-A1-A0SB-11A", "TCGA-A1-A0SD-01A"]
    result = table(
        tmp_path, header, {"ESR1": list("1234")}, sample_pattern=r"^(?:BRCA_)?(H1-\d+(?=-T)|TCGA.*)"
    )
    assert result.values["ESR1"].to_dict() == {"H1-007": 1, "TCGA-A1-A0SD": 4}
    assert (
        "1 samples that the sample pattern does not match were left out: H1-007-N." in result.notes
    )


def test_a_pattern_without_a_group_takes_its_whole_match(tmp_path):
    assert list(
        table(tmp_path, ["H1-007-T"], {"A": ["1"]}, sample_pattern=r"H\d-\d+").values.index
    ) == ["H1-007"]


def test_a_bad_pattern_and_no_primary_tumour(tmp_path):
    message = refused(tmp_path, ["P1"], {"A": ["1"]}, sample_pattern="(")
    assert "the sample pattern '(' is not a regular expression" in message
    message = refused(tmp_path, ["TCGA-A1-A0SB-11A"], {"A": ["1"]})
    assert "no sample is left. 1 samples of other sample types than 01 were left out" in message
    message = refused(tmp_path, ["P1", "P2"], {"A": ["1", "2"]}, sample_pattern="^Q")
    assert "the sample pattern '^Q' matches no sample; samples are named such as P1, P2." in message


def test_other_sample_types_are_read_where_they_are_wanted(tmp_path):
    header = ["TCGA_A1_A0SB_06", "TCGA_A1_A0SB_01", "TCGA_A1_A0SD_06", "TCGA_A1_A0SE_11"]
    result = table(tmp_path, header, {"ESR1": list("1234")}, sample_types=("01", "06"))
    assert result.values["ESR1"].to_dict() == {"TCGA-A1-A0SB": 2, "TCGA-A1-A0SD": 3}


@given(st.lists(st.sampled_from(["01A", "01B", "06A", "11A"]), min_size=1, max_size=8))
def test_the_choice_does_not_depend_on_the_order_of_the_samples(kinds):
    samples = [f"TCGA-A1-A0SB-{kind}" for kind in kinds]
    primary = sorted(s for s in samples if "-01" in s)
    if not primary:
        with pytest.raises(InputError):
            resolve_samples(samples, patients=None, pattern=None, source="x")
        return
    for order in (samples, samples[::-1]):
        resolved = resolve_samples(order, patients=None, pattern=None, source="x")
        assert [order[row] for row in resolved.rows] == [primary[0]]


def test_repeated_symbols_are_averaged_and_nameless_rows_left_out(tmp_path):
    rows = [
        ["ESR1", "1", "NA", "NA"],
        ["", "9", "9", "9"],
        ["PGR", "5", "5", "5"],
        ["ESR1", "2", "4", "NA"],
    ]
    result = table(tmp_path, ["P1", "P2", "P3"], rows)
    expected = pd.DataFrame(
        {"ESR1": [1.5, 4, np.nan], "PGR": [5, 5, 5]}, index=["P1", "P2", "P3"], dtype=np.float32
    )
    pd.testing.assert_frame_equal(result.values, expected, check_names=False)
    assert "1 rows without a gene symbol were left out." in result.notes
    assert "1 gene symbols occur more than once; their values were averaged: ESR1." in result.notes


def test_genes_without_any_value_are_left_out(tmp_path):
    result = table(tmp_path, ["P1", "P2"], {"A": ["", "NA"], "B": ["1", "2"]})
    assert list(result.values.columns) == ["B"]
    assert result.notes == ("1 genes without any value were left out: A.",)


def test_patients_without_any_value_are_left_out(tmp_path):
    result = table(tmp_path, ["P1", "P2", "P3"], {"A": ["1", "", "3"], "B": ["1", "NA", ""]})
    assert list(result.values.index) == ["P1", "P3"]
    assert result.notes[0] == "1 patients without any value were left out: P2."


def test_log2p1(tmp_path):
    result = table(tmp_path, ["P1", "P2"], {"A": ["0", "3"], "B": ["1", ""]}, transform="log2p1")
    np.testing.assert_array_equal(result.values.to_numpy(), [[0, 1], [2, np.nan]])
    assert (result.values.dtypes == np.float32).all()


def test_negative_and_infinite_values_are_named_together(tmp_path):
    rows = {"A": ["-1", "inf"], "B": ["1", "-0.5"]}
    assert refused(tmp_path, ["P1", "P2"], rows, transform="log2p1").splitlines() == [
        f"{tmp_path}/x.txt (block mRNA): 1 values are infinite: A of P2; mend them or leave them "
        "empty.",
        f"{tmp_path}/x.txt (block mRNA): log2(x + 1) needs values of 0 or more, and 2 are "
        "negative: A of P1, B of P2. Values that are z-scores or logarithms already take the "
        "transform 'none'.",
    ]
    with_negative = table(tmp_path, ["P1", "P2"], {"A": ["-1", "0"]})
    assert isinstance(with_negative, GenomicTable)


def test_tables_without_samples_or_genes(tmp_path):
    assert "(block mRNA): holds no gene." in refused(tmp_path, ["P1"], {})
    message = "(block mRNA): holds no gene with a symbol and a value."
    assert message in refused(tmp_path, ["P1"], {"A": ["NA"], "": ["1"]})
    path = tmp_path / "empty.csv"
    path.write_text("PATIENT,A\n")
    with pytest.raises(InputError, match="holds no sample"):
        read_genomic_table(path, name="mRNA")


@pytest.mark.shared
def test_the_real_cohort_is_read_whole(tcga):
    mrna = read_genomic_table(tcga / "mrna_zscores.txt.gz", name="mRNA")
    cna = read_genomic_table(tcga / "cna_gistic.txt.gz", name="CNA")
    raw = pd.read_csv(tcga / "mrna_zscores.txt.gz", sep="\t", index_col=0)
    assert mrna.values.shape == (603, 1558)
    genes = ["GATA3", "ERBB2"]
    np.testing.assert_allclose(
        mrna.values.loc["TCGA-A1-A0SB", genes], raw.loc[genes, "TCGA-A1-A0SB-01"], rtol=1e-6
    )
    assert cna.values.shape == (603, 1333)
    assert set(np.unique(cna.values)) == {-2, -1, 0, 1, 2}
    clinical = pd.read_csv(tcga / "clinical.csv")
    assert set(mrna.values.index) == set(cna.values.index)
    assert set(mrna.values.index) <= set(clinical["PATIENT"])


def test_codes_for_missing_values_are_no_values(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 6)).round(3).astype(str)
    values[3, 1] = values[9, 4] = "-99"
    samples = [f"P{n}" for n in range(6)]
    rows = {f"G{n}": list(row) for n, row in enumerate(values)}
    (problem,) = table(tmp_path, samples, rows).scale_problems
    assert "2 values are -99, far from all others" in problem


def test_patients_with_one_value_for_every_gene_are_told(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 6)).round(3).astype(str)
    values[:, 2] = "0"
    rows = {f"G{n}": list(row) for n, row in enumerate(values)}
    notes = table(tmp_path, [f"P{n}" for n in range(6)], rows).notes
    assert "1 patients have the same value for every gene: P2; were they measured?" in notes
