"""Matrices that passed through R or pandas once more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.genomics import read_genomic_table

SAMPLES = ["TCGA-A1-A001-01", "TCGA-A1-A002-01", "TCGA-A1-A003-01"]
GENES = ["ESR1", "PGR", "GATA3", "KRT5"]
VALUES = np.random.default_rng(0).normal(8, 2, (4, 3)).round(3)


def lines(first: str | None, columns: list[str], rows: list[str], values: np.ndarray) -> list:
    head = columns if first is None else [first, *columns]
    return [head, *([row, *map(str, line)] for row, line in zip(rows, values, strict=True))]


def read(path: Path, cells: list, mark: str = "\t") -> np.ndarray:
    path.write_text("".join(mark.join(row) + "\n" for row in cells))
    table = read_genomic_table(path, name="mrna")
    return table.values.loc[[s[:12] for s in SAMPLES], GENES].to_numpy()


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "X", "...1", "rowname", "hugo_symbol"])
def test_genes_in_rows_under_any_name(tmp_path: Path, first: str) -> None:
    found = read(tmp_path / "x.txt", lines(first, SAMPLES, GENES, VALUES))
    assert found == pytest.approx(VALUES.T)


@pytest.mark.parametrize("first", ["", "Unnamed: 0", "X", "rowname"])
def test_patients_in_rows_under_any_name(tmp_path: Path, first: str) -> None:
    found = read(tmp_path / "x.txt", lines(first, GENES, SAMPLES, VALUES.T))
    assert found == pytest.approx(VALUES.T)


@pytest.mark.parametrize(("mark", "first"), [("|", "gene"), (" ", None), (" ", "gene")])
def test_bars_and_blanks_part_cells(tmp_path: Path, mark: str, first: str | None) -> None:
    found = read(tmp_path / "x.txt", lines(first, SAMPLES, GENES, VALUES), mark)
    assert found == pytest.approx(VALUES.T)


def test_gene_names_with_bars_stay_whole(tmp_path: Path) -> None:
    named = [f"{gene}|{number}" for number, gene in enumerate(GENES)]
    found = read(tmp_path / "x.txt", lines("gene", SAMPLES, named, VALUES))
    assert found == pytest.approx(VALUES.T)


def test_names_of_rows_that_say_nothing_are_asked_about(tmp_path: Path) -> None:
    cells = lines("X", ["P1", "P2", "P3"], GENES, VALUES)
    with pytest.raises(InputError, match="say what they are: `format: xena` for genes"):
        read(tmp_path / "x.txt", cells)
