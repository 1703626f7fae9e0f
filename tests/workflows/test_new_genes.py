"""Tables of genes of new patients: what is told of their scale."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histodistill.workflows.prediction import read_blocks

BUNDLE: Any = SimpleNamespace(info=SimpleNamespace(blocks={"mrna": {}}))


@pytest.fixture
def genes():
    """Logarithms of 30 patients x 600 genes, which differ as expression does."""
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 12, 600) + rng.normal(0, 0.8, (30, 600)).clip(-0.9)
    patients = pd.Index([f"P{number}" for number in range(30)], name="PATIENT")
    return pd.DataFrame(values, patients, [f"G{number}" for number in range(600)])


def told(tmp_path, table):
    table.to_csv(tmp_path / "genes.csv")
    return read_blocks(BUNDLE, {"mrna": tmp_path / "genes.csv"})[1]


def test_a_table_of_one_scale_is_not_remarked_upon(tmp_path, genes):
    assert told(tmp_path, genes) == []


def test_natural_logarithms_among_others_are_told(tmp_path, genes):
    (note,) = told(tmp_path, genes.mul([np.log(2)] * 8 + [1] * 22, axis=0))
    assert "8 of 30 patients (P0, P1, P2, P3, P4 and 3 more)" in note
    assert "as with natural logarithms for log2" in note


def test_a_code_for_what_was_not_measured_is_told_in_the_smallest_panel(tmp_path, genes):
    panel = genes.iloc[:, :12].copy()
    panel.iloc[[3, 9], 2] = -99
    (note,) = told(tmp_path, panel)
    assert "2 values are -99" in note
