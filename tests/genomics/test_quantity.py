"""What a table's values are, by the values alone; and what does not fit in it."""

from __future__ import annotations

import numpy as np
import pytest

from histodistill.genomics import read_genomic_table
from histodistill.genomics.mixture import mixed_problems
from histodistill.genomics.quantity import quantity_of, transform_problem
from tests.genomics.test_reference import copy_number, scales

KINDS = {
    "counts": "raw",
    "tpm": "raw",
    "log2": "logarithms",
    "ln": "logarithms",
    "z": "centred",
}


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("name", KINDS)
def test_expression(name, n):
    assert quantity_of(scales(2, n)[name].to_numpy()) == KINDS[name]


def test_copy_number_fractions_percentages_and_few_values():
    rng = np.random.default_rng(0)
    levels, ratios = copy_number(0, 20)
    assert quantity_of(levels.to_numpy()) == "levels"
    assert quantity_of(ratios.to_numpy()) == "centred"
    assert quantity_of(rng.beta(0.5, 0.5, (20, 50))) == "unknown"
    assert quantity_of(rng.uniform(0, 100, (20, 50))) == "unknown"
    assert quantity_of(np.full(100, np.nan)) == "unknown"
    assert quantity_of(np.array([1e6, 2.0])) == "unknown"


def test_only_what_does_not_fit_is_a_problem():
    assert "`transform: log2p1`" in str(transform_problem("raw", "none"))
    assert "`transform: none`" in str(transform_problem("logarithms", "log2p1"))
    assert "`transform: none`" in str(transform_problem("centred", "log2p1"))
    assert transform_problem("raw", "log2p1") is None
    assert transform_problem("logarithms", "none") is None
    assert transform_problem("centred", "none") is None
    assert transform_problem("levels", "none") is None
    assert transform_problem("unknown", "log2p1") is None


@pytest.mark.parametrize(("first", "second"), [("tpm", "z"), ("log2", "counts"), ("log2", "z")])
def test_patients_on_two_scales_are_named(first, second):
    one, other = scales(2, 10)[first], scales(3, 4)[second]
    values = np.concatenate([one.to_numpy(), other.to_numpy()])
    (problem,) = mixed_problems(values, [f"A{i}" for i in range(10)] + [f"B{i}" for i in range(4)])
    assert "its patients are on different scales" in problem
    assert "B0, B1, B2, B3" in problem


def test_counts_beside_tpm_are_told_and_depth_is_not():
    tpm, counts = scales(2, 10)["tpm"].to_numpy(), scales(3, 10)["counts"].to_numpy()
    names = [f"P{i}" for i in range(12)]
    (problem,) = mixed_problems(np.concatenate([counts, tpm[:2] / 100]), names)
    assert "another unit" in problem
    assert "P10, P11" in problem
    assert list(mixed_problems(counts, names[:10])) == []


@pytest.mark.parametrize(
    ("name", "transform", "line"),
    [
        ("tpm", "none", "`transform: log2p1`"),
        ("counts", "none", "`transform: log2p1`"),
        ("log2", "log2p1", "`transform: none`"),
        ("tpm", "log2p1", None),
        ("log2", "none", None),
        ("z", "none", None),
    ],
)
def test_a_table_knows_what_does_not_fit(tmp_path, name, transform, line):
    path = tmp_path / "table.csv"
    scales(2, 12)[name].to_csv(path, index_label="PATIENT")
    problems = read_genomic_table(path, name="mrna", transform=transform).scale_problems
    assert len(problems) == (line is not None)
    assert all(str(path) in problem and str(line) in problem for problem in problems)
