"""Tables of quantifiers, of Firehose and of spreadsheets with genes in rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.genomics import GenomicTable, read_genomic_table


def block(path: Path) -> GenomicTable:
    return read_genomic_table(path, name="mrna")


VALUES = [[0.5, -1.25, 2.0], [1.5, 0.25, -2.0]]
SAMPLES = ["TCGA-A1-A000-01", "TCGA-B2-A001-01", "TCGA-C3-A002-01"]


def lines(path: Path, rows: Sequence[Sequence[object]], head: str = "") -> Path:
    path.write_text(head + "".join("\t".join(map(str, row)) + "\n" for row in rows))
    return path


def expected() -> pd.DataFrame:
    patients = [name.removesuffix("-01") for name in SAMPLES]
    return pd.DataFrame(np.array(VALUES, np.float32).T, patients, ["ESR1", "PGR"])


def require(table: GenomicTable, *told: str) -> None:
    pd.testing.assert_frame_equal(table.values, expected(), check_names=False)
    for sentence in told:
        assert sentence in " ".join(table.notes)


def test_merged_quantifications_name_genes_by_their_symbols(tmp_path):
    rows = [["ENSG00000091831.24", "ESR1", *VALUES[0]], ["ENSG00000082175.15", "PGR", *VALUES[1]]]
    path = lines(tmp_path / "gene_tpm.tsv", [["gene_id", "gene_name", *SAMPLES], *rows])
    require(block(path), "Genes are named by the column 'gene_name'.")


def test_columns_that_tell_of_genes_are_no_samples(tmp_path):
    names = ["Geneid", "Chr", "Start", "End", "Strand", "Length"]
    rows = [
        [gene, "chr6", 1, 9, "+", 9, *v] for gene, v in zip(("ESR1", "PGR"), VALUES, strict=True)
    ]
    header = [*names, *(f"bam/{sample}.bam" for sample in SAMPLES)]
    path = lines(tmp_path / "counts.txt", [header, *rows], head="# Program:featureCounts\n")
    require(
        block(path), "Columns that tell of genes were not read: Chr, Start, End, Strand, Length."
    )


def firehose(path: Path, measured: list[str], values: list[list[float]]) -> Path:
    samples = [f"{s}A-11R-A115-07" for s in SAMPLES for _ in measured]
    genes = ["?|100130426", "ESR1|2099", "PGR|5241"]
    rows: list[list[object]] = [
        [gene, *v] for gene, v in zip(genes, [[0.0] * len(samples), *values], strict=True)
    ]
    head: list[list[object]] = [
        ["Hybridization REF", *samples],
        ["gene_id", *measured * len(SAMPLES)],
    ]
    return lines(path, [*head, *rows])


def test_files_of_firehose_have_two_lines_of_names(tmp_path):
    require(block(firehose(tmp_path / "rsem.txt", ["normalized_count"], VALUES)))
    doubled = [[v for value in row for v in (value, value)] for row in VALUES]
    path = firehose(tmp_path / "both.txt", ["raw_count", "scaled_estimate"], doubled)
    with pytest.raises(InputError, match=r"several quantities of each sample \(raw_count, scaled_"):
        block(path)


def test_sheets_of_genes_and_samples_are_turned(tmp_path):
    table = pd.DataFrame(VALUES, columns=SAMPLES)
    table.insert(0, "Gene Symbol", ["ESR1", "PGR"])
    table.insert(1, "Description", ["a receptor", "another"])
    table.to_excel(tmp_path / "e.xlsx", index=False)
    table.to_parquet(tmp_path / "e.parquet")
    require(block(tmp_path / "e.xlsx"))
    require(block(tmp_path / "e.parquet"))
