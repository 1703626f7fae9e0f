"""Factors of genes by what they say about the label, and networks that read them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.preparation import PreparedPatients, Transforms
from histodistill.preparation.gene_weights import gene_weights, label_correlation
from tests.preparation.cohorts import preprocessor, table

CPU = torch.device("cpu")
LABELS = np.array([0, 1, 1, 0, 1, 0, -1, 0])


def blocks() -> dict[str, np.ndarray]:
    """Two blocks of standardised genes of eight patients."""
    rng = np.random.default_rng(0)
    return {"mrna": rng.normal(size=(8, 4)), "cna": rng.normal(size=(8, 3))}


@pytest.mark.parametrize("power", [0.5, 1, 2, 3])
def test_factors_are_a_power_of_the_correlation_on_one_scale(power: float) -> None:
    genes = blocks()
    found = gene_weights(genes, LABELS, power)
    assert list(found) == ["mrna", "cna"]
    together = np.concatenate(list(found.values()))
    assert together.dtype == np.float32
    assert np.square(together).mean() == pytest.approx(1, rel=1e-5)
    known = LABELS >= 0
    expected = np.array(
        [
            abs(np.corrcoef(gene[known], LABELS[known])[0, 1]) ** power
            for block in genes.values()
            for gene in block.T
        ]
    )
    np.testing.assert_allclose(together / together[0], expected / expected[0], rtol=1e-4)


def test_power_0_and_labels_of_one_class_leave_genes_alike() -> None:
    for labels, power in ((LABELS, 0.0), (np.ones(8, dtype=int), 2.0)):
        for factors in gene_weights(blocks(), labels, power).values():
            np.testing.assert_allclose(factors, 1)


def test_genes_that_do_not_vary_make_finite_factors() -> None:
    flat = {"mrna": np.ones((8, 4)), "cna": np.zeros((8, 2))}
    for factors in gene_weights(flat, LABELS, 2).values():
        assert np.isfinite(factors).all()


def test_patients_without_a_label_do_not_count() -> None:
    genes = blocks()
    before = gene_weights(genes, LABELS, 2)
    for block in genes.values():
        block[LABELS < 0] += 1000
    for name, factors in gene_weights(genes, LABELS, 2).items():
        np.testing.assert_allclose(factors, before[name], rtol=1e-6)
    assert np.array_equal(
        label_correlation(genes["mrna"], LABELS),
        label_correlation(genes["mrna"][LABELS >= 0], LABELS[LABELS >= 0]),
    )


def weighted(factors: dict[str, np.ndarray]) -> Transforms:
    return Transforms(None, {"mrna": preprocessor().fit(table("abcd"))}, gene_weights=factors)


def test_patients_are_read_with_their_factors() -> None:
    factors = {"mrna": np.array([2, 0, 1, 0.5, 3], dtype=np.float32)}
    genes = {"mrna": table("bcdg")}
    plain, scaled = (
        PreparedPatients(None, weighted(own).scaled(genes), weighted(own), 4).genes(["b", "g"], CPU)
        for own in ({}, factors)
    )
    assert plain is not None
    assert scaled is not None
    ours = scaled.tokens["mrna"].flatten(1)
    # Three places of padding stay zero.
    expected = torch.nn.functional.pad(torch.from_numpy(factors["mrna"]), (0, 3))
    torch.testing.assert_close(ours, plain.tokens["mrna"].flatten(1) * expected)


def test_factors_travel_whole(tmp_path: Path) -> None:
    factors = {"mrna": np.linspace(0, 2, 5, dtype=np.float32)}
    weighted(factors).save(tmp_path)
    read = Transforms.load(tmp_path)
    assert list(read.gene_weights) == ["mrna"]
    np.testing.assert_array_equal(read.gene_weights["mrna"], factors["mrna"])
    before, after = (
        own.genes("mrna", own.scaled({"mrna": table("ab")})["mrna"])
        for own in (weighted(factors), read)
    )
    np.testing.assert_array_equal(before, after)
