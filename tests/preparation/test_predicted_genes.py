"""Predicted genes: the map against brute force, and correlations that no leak lifts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features import open_bags
from histodistill.preparation import ExpressionProgrammes, Transforms
from histodistill.preparation.predicted_genes import PredictedGenes, fit_predicted_genes
from histodistill.preparation.programmes import fit_programmes

Array = NDArray[np.float64]


def least_squares(means: Array, scores: Array) -> tuple[Array, Array]:
    """A regression without any penalty."""
    centre = means.mean(axis=0)
    weight = np.linalg.lstsq(means - centre, scores, rcond=None)[0]
    return weight, -centre @ weight


def measured(n: int = 60, seed: int = 0) -> tuple[Array, Array, Array]:
    """Mean patches [n, 4], genes that are told by them, and genes that are not, [n, 20]."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(n, 4))
    told = means @ rng.normal(size=(4, 20)) + rng.normal(size=(n, 20))
    return means, told, rng.normal(size=(n, 20))


def principal(genes: Array, k: int) -> Array:
    centred = genes - genes.mean(axis=0)
    _, _, right = np.linalg.svd(centred, full_matrices=False)
    scores: Array = centred @ right[:k].T
    return scores


def fit(means: Array, genes: Array, groups: list[str] | None = None, k: int = 3) -> PredictedGenes:
    names = [f"mrna:G{number}" for number in range(genes.shape[1])]
    own = groups or [f"patient {number}" for number in range(len(means))]
    found = fit_predicted_genes(means, genes, names, principal(genes, k), least_squares, own)
    assert found is not None
    return found


def test_a_gene_is_its_regression_on_the_programmes() -> None:
    means, genes, _ = measured()
    found = fit(means, genes)
    scores = principal(genes, 3)
    standardised = (genes - genes.mean(axis=0)) / genes.std(axis=0)
    expected = np.linalg.lstsq(scores, standardised, rcond=None)[0]
    np.testing.assert_allclose(found.weight, expected, atol=1e-5)
    assert found.n_groups == 1
    programmes = torch.from_numpy(scores).float()
    some = found.of(programmes, [7, 2])
    np.testing.assert_allclose(some, (scores @ expected)[:, [7, 2]], atol=1e-4)


def test_correlations_are_those_of_a_plain_loop_over_hospitals() -> None:
    means, genes, _ = measured()
    groups = [f"hospital {number % 5}" for number in range(60)]
    found = fit(means, genes, groups)
    scores, told = principal(genes, 3), np.empty_like(genes)
    told_scores = np.empty_like(scores)
    for hospital in set(groups):
        out = np.array([group == hospital for group in groups])
        a, b = scores[~out], genes[~out]
        slope, constant = least_squares(means[~out], a - a.mean(axis=0))
        answers = means[out] @ slope + constant
        told_scores[out] = answers
        onward = np.linalg.lstsq(a - a.mean(axis=0), b - b.mean(axis=0), rcond=None)[0]
        told[out] = answers @ onward
    for hospital in set(groups):
        own = np.array([group == hospital for group in groups])
        for values in (told, genes):
            values[own] -= values[own].mean(axis=0)
    np.testing.assert_allclose(found.programme_sd, told_scores.std(axis=0), rtol=1e-4)
    expected = [np.corrcoef(told[:, gene], genes[:, gene])[0, 1] for gene in range(20)]
    assert found.n_groups == 5
    np.testing.assert_allclose(found.gene_r, expected, atol=1e-5)


def test_genes_that_slides_tell_are_told_from_those_they_do_not() -> None:
    means, told, _ = measured(200)
    assert fit(means, told).gene_r.min() > 0.2
    by_chance = [fit(measured(60, seed)[0], measured(60, seed)[2]) for seed in range(30)]
    assert abs(np.mean([found.gene_r.mean() for found in by_chance])) < 0.02
    assert fit(means, told).programme_r.max() > 0.6


def test_a_hospital_that_is_told_by_its_stain_lifts_nothing() -> None:
    """Stain and expression differ between hospitals, independently of each other."""
    rng = np.random.default_rng(1)
    hospital = np.repeat(np.arange(10), 20)
    means = rng.normal(size=(10, 4))[hospital] * 3 + rng.normal(size=(200, 4))
    genes = rng.normal(size=(10, 20))[hospital] * 3 + rng.normal(size=(200, 20))
    apart = fit(means, genes, [f"hospital {h}" for h in hospital])
    together = fit(means, genes)
    assert together.gene_r.mean() > 0.3
    assert apart.gene_r.max() < 0.3
    assert abs(apart.gene_r.mean()) < 0.1


def test_of_few_patients_nothing_is_said() -> None:
    means, genes, _ = measured(19)
    names = [f"mrna:G{number}" for number in range(20)]
    groups = [str(number) for number in range(19)]
    assert fit_predicted_genes(means, genes, names, genes[:, :2], least_squares, groups) is None


def test_constant_genes_have_no_correlation() -> None:
    means, genes, _ = measured()
    genes[:, 3] = 2
    found = fit(means, genes)
    assert float(found.gene_r[3]) == 0
    assert found.weight.isfinite().all()


def programmes_of(folder: Path) -> tuple[ExpressionProgrammes, dict[str, Array]]:
    means, genes, _ = measured(30)
    rng = np.random.default_rng(2)
    bags = {f"P{i:02}": mean + rng.normal(size=(5, 4)) for i, mean in enumerate(means)}
    for name, bag in bags.items():
        np.save(folder / f"{name}.npy", bag.astype(np.float32))
    store = open_bags({name: [folder / f"{name}.npy"] for name in bags})
    labels = (genes[:, 0] > 0).astype(np.int64)
    names = [f"mrna:G{number}" for number in range(20)]
    return fit_programmes(store, list(bags), genes, labels, 3, names, list(bags)), bags


def test_what_the_network_reads_is_the_same_with_and_without_genes(tmp_path: Path) -> None:
    fitted, bags = programmes_of(tmp_path)
    _, genes, _ = measured(30)
    assert fitted.genes is not None
    assert fitted.basis is not None
    squashed = [fitted.basis.mean(torch.from_numpy(bag).float()) for bag in bags.values()]
    labels = (genes[:, 0] > 0).astype(np.int64)
    plain = ExpressionProgrammes.fit(np.array(squashed), genes, labels, 3, fitted.basis)
    assert torch.equal(plain.weight, fitted.weight)
    assert torch.equal(plain.bias, fitted.bias)
    # Genes follow from the programmes as patches are read, in the unit that these have.
    answers = torch.stack([fitted.transform(torch.from_numpy(b)).mean(0) for b in bags.values()])
    told = fitted.genes.of(answers, range(20)).numpy()
    own = [np.corrcoef(told[:, gene], genes[:, gene])[0, 1] for gene in range(20)]
    assert np.mean(own) > 0.4
    assert 0.2 < told.std() < 1
    np.testing.assert_allclose(told.mean(axis=0), 0, atol=1e-4)


def test_predicted_genes_are_stored_with_the_transforms(tmp_path: Path) -> None:
    fitted, _ = programmes_of(tmp_path)
    (tmp_path / "stored").mkdir()
    Transforms(None, {}, fitted).save(tmp_path / "stored")
    loaded = Transforms.load(tmp_path / "stored").programmes
    assert loaded is not None
    assert loaded.genes is not None
    assert fitted.genes is not None
    assert loaded.genes.genes == fitted.genes.genes
    assert loaded.genes.n_patients == 30
    for name, value in fitted.to_tensors().items():
        assert torch.equal(loaded.to_tensors()[name], value)


def test_transforms_of_an_earlier_version_have_none(tmp_path: Path) -> None:
    fitted, _ = programmes_of(tmp_path)
    (tmp_path / "stored").mkdir()
    Transforms(None, {}, ExpressionProgrammes(fitted.weight, fitted.bias, fitted.basis)).save(
        tmp_path / "stored"
    )
    loaded = Transforms.load(tmp_path / "stored").programmes
    assert loaded is not None
    assert loaded.genes is None


@pytest.mark.parametrize("change", ["names", "values"])
def test_names_that_are_not_those_of_the_values_are_refused(tmp_path: Path, change: str) -> None:
    fitted, _ = programmes_of(tmp_path)
    (tmp_path / "stored").mkdir()
    Transforms(None, {}, fitted).save(tmp_path / "stored")
    path = tmp_path / "stored" / "transforms.json"
    described = json.loads(path.read_text())
    described["predicted_genes"] = described["predicted_genes"][1:] if change == "names" else "AB"
    path.write_text(json.dumps(described))
    with pytest.raises((ValueError, InputError)):
        Transforms.load(tmp_path / "stored")
