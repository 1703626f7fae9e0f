"""Patients of one table on two scales, found by holding them against each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from histodistill.genomics.mixture import mixed_problems

N = 60


def expression(n_genes=300, n=N, seed=0):
    """Logarithms of n patients, genes skewed to the right as those of tumours are."""
    rng = np.random.default_rng(seed)
    centre, spread = rng.uniform(2, 14, n_genes), rng.uniform(0.3, 1, n_genes)
    shape = rng.gamma(1.0, 1.0, (n, n_genes)) - 1
    return (centre + spread * shape).astype(np.float32)


def z_scores(**options):
    values = expression(**options)
    return (values - values.mean(axis=0)) / values.std(axis=0)


def told(values):
    return list(mixed_problems(values, [f"P{i}" for i in range(len(values))]))


CHANGES: dict[str, tuple[Any, Any, str]] = {
    "natural logarithms": (expression, lambda v: v * 0.693, "another unit|as with natural"),
    "logarithms twice": (expression, lambda v: np.log2(v + 1), "another unit|another logarithm"),
    "another centre": (z_scores, lambda v: v - 1.2, "another unit, normalisation or centre"),
    "not scaled": (z_scores, lambda v: v * 0.2, "times as far from the genes' medians"),
    "reversed signs": (z_scores, lambda v: -v, "the signs of their values seem reversed"),
    "another unit": (lambda: 2 ** expression() * 3, lambda v: v * 8, "another unit"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_patients_on_another_scale_are_named(name, share):
    make, change, cause = CHANGES[name]
    values = make()
    other = np.arange(N) >= N * (1 - share)
    values[other] = change(values[other])
    (problem,) = told(values)
    assert any(part in problem for part in cause.split("|"))
    if share < 0.5:
        assert f"{other.sum()} of {N} patients (P{N - 6}, " in problem
    assert "bring all to one scale" in problem


def test_a_panel_of_fifty_genes_is_enough():
    values = z_scores(n_genes=50)
    values[:30] *= 0.2
    assert len(told(values)) == 1


def test_zeros_that_were_not_measured_are_told():
    values = expression()
    values[:20, 100:220] = 0
    (problem,) = told(values)
    assert "genes that were not measured, written as 0" in problem


@pytest.mark.parametrize("make", [expression, z_scores, lambda **o: 2 ** expression(**o)])
@pytest.mark.parametrize("n_genes", [12, 50, 300])
def test_patients_of_one_scale_are_not_told(make, n_genes):
    for seed in range(20):
        assert told(make(n_genes=n_genes, seed=seed)) == []


def test_subtypes_purity_and_copy_number_are_no_scale():
    rng = np.random.default_rng(1)
    values = z_scores()
    subtype = rng.normal(size=300) * np.repeat([0, 1], N // 2)[:, None]
    assert told(values + subtype) == []
    assert told(values * rng.uniform(0.6, 1.3, (N, 1))) == []
    levels = rng.integers(-2, 3, (N, 300)).astype(np.float32)
    levels[:30] = 0
    assert told(levels) == []


@pytest.mark.parametrize("n_patients", [1, 2, 3])
@pytest.mark.parametrize("n_genes", [1, 12, 40])
@pytest.mark.parametrize("kind", ["centred", "raw", "zeros", "missing", "alike"])
def test_few_patients_and_genes_that_do_not_vary_are_judged_without_harm(
    n_patients: int, n_genes: int, kind: str
) -> None:
    rng = np.random.default_rng(0)
    shape = n_patients, n_genes
    values = {
        "centred": rng.normal(size=shape),
        "raw": rng.gamma(1, 500, shape),
        "zeros": np.zeros(shape),
        "missing": np.full(shape, np.nan),
        "alike": np.tile(rng.normal(size=n_genes), (n_patients, 1)),
    }[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not list(mixed_problems(values, [f"P{n}" for n in range(n_patients)]))
