"""Ranks, p-values, fold changes, and genes that say nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.genomics import read_genomic_table
from histodistill.genomics.derived import derived_notes, derived_problems
from tests.genomics.test_mixture import expression

GENES = [f"G{i}" for i in range(300)]


def notes(values):
    return list(derived_notes(values, GENES))


def test_ranks_of_genes_are_told_and_ranks_of_patients_refused():
    table = pd.DataFrame(expression())
    (note,) = notes(table.rank(axis=1).to_numpy())
    assert "are ranks of the genes" in note
    (note,) = notes(table.rank(axis=1, pct=True).to_numpy())
    assert "are ranks of the genes" in note
    (problem,) = derived_problems(table.rank(axis=0).to_numpy(), "none")
    assert "are ranks of the patients" in problem


def test_fold_changes_are_refused_unless_logarithms_are_taken():
    values = expression()
    changes = 2 ** (values - np.median(values, axis=0))
    (problem,) = derived_problems(changes, "none")
    assert "as fold changes do" in problem
    assert list(derived_problems(changes, "log2p1")) == []


def test_shares_are_told():
    (note,) = notes(np.random.default_rng(0).beta(0.5, 2, (60, 300)))
    assert "p-values" in note


def test_constant_and_equal_genes_are_named():
    values = expression()
    values[:, :150] = 3
    values[:, 201] = values[:, 200]
    equal, constant = sorted(notes(values))
    assert "1 groups of genes" in equal
    assert "G200 = G201" in equal
    assert constant.startswith("150 of 300 genes have one value in all patients (G0, G1")


@pytest.mark.parametrize("kind", ["logarithms", "z-scores", "raw", "levels"])
def test_expression_is_neither(kind):
    rng = np.random.default_rng(0)
    values = expression()
    made = {
        "logarithms": values,
        "z-scores": (values - values.mean(axis=0)) / values.std(axis=0),
        "raw": 2**values,
        "levels": rng.integers(-2, 3, values.shape).astype(float),
    }[kind]
    assert list(derived_problems(made, "none")) == []
    assert notes(made) == []


def test_rows_of_one_symbol_that_disagree_are_named(tmp_path):
    values = expression(n_genes=4, n=30)
    values[:, 1] = values[:, 0] + 0.1  # another probe of the same gene
    table = pd.DataFrame(values, columns=["A", "A", "B", "B"])
    table.insert(0, "PATIENT", [f"P{i}" for i in range(30)])
    table.to_csv(tmp_path / "genes.csv", index=False)
    told = read_genomic_table(tmp_path / "genes.csv", name="mrna").notes
    (apart,) = [note for note in told if "tell different things" in note]
    assert apart.startswith("B: rows of one symbol")
