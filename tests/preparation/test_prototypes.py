"""Prototypes of tissue: memberships by brute force, rare tissue, and when there are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.features import BagStore
from histodistill.preparation import ExpressionProgrammes, Transforms
from histodistill.preparation.patch_basis import PatchBasis
from histodistill.preparation.programmes import _balance, fit_programmes
from histodistill.preparation.prototypes import Prototypes, find_prototypes
from tests.preparation.cohorts import store

WIDTH = 6
# Kinds of tissue; the last is rare, and its features lie between those of the others.
KINDS = np.array([[4, 0, 0], [-4, 0, 0], [0, 4, 0], [0, -4, 0], [0, 0, 0]], dtype=float)
CENTRES = np.hstack([KINDS, np.zeros((5, 3))])


def tissue(n: int = 60, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Bags of 80 patches, and the share of rare tissue in each, which their means do not tell."""
    rng = np.random.default_rng(seed)
    bags, shares = {}, rng.uniform(0, 0.3, n)
    for number, share in enumerate(shares):
        others = rng.dirichlet(np.full(4, 3)) * (1 - share)
        kinds = rng.choice(5, size=80, p=[*others, share])
        patches = CENTRES[kinds] + rng.normal(0, 0.4, (80, WIDTH))
        bags[f"P{number}"] = patches.astype(np.float32)
        shares[number] = (kinds == 4).mean()
    return bags, shares


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[BagStore, np.ndarray]:
    bags, shares = tissue()
    return store(tmp_path_factory.mktemp("bags"), bags), shares


def test_memberships_are_the_softmax_of_squared_distances() -> None:
    rng = np.random.default_rng(1)
    centres, patches = rng.normal(size=(4, 3)), rng.normal(size=(9, 3))
    prototypes = Prototypes(torch.tensor(centres).float(), torch.tensor([0.7]))
    found = prototypes.transform(torch.tensor(patches).half().double())
    for row, patch in zip(found, np.float16(patches).astype(float), strict=True):
        weights = [np.exp(-0.7 * ((patch - centre) ** 2).sum()) for centre in centres]
        np.testing.assert_allclose(row, np.array(weights) / sum(weights), rtol=1e-4)


def test_prototypes_are_those_of_k_means(stored: tuple[BagStore, np.ndarray]) -> None:
    bags, _ = stored
    found = find_prototypes(bags, bags.patients, 5)
    assert found is not None
    assert len(found) == 5
    nearest = np.linalg.norm(found.centres.numpy()[:, None] - CENTRES, axis=2).min(axis=0)
    assert (nearest < 0.5).all()
    again = find_prototypes(bags, bags.patients, 5)
    assert again is not None
    assert again.centres.equal(found.centres)


def test_few_patches_make_fewer_prototypes() -> None:
    patches = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)
    assert len(Prototypes.fit(patches, 256)) == 3
    assert len(Prototypes.fit(patches[:5], 256)) == 1


def test_equal_patches_make_memberships_that_are_numbers() -> None:
    found = Prototypes.fit(np.ones((60, 3), dtype=np.float32), 3)
    assert torch.isfinite(found.transform(torch.ones(2, 3))).all()


def test_slides_that_differ_more_than_their_patches_have_no_prototypes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bags = {
        f"P{n}": (rng.normal(0, 3, (1, WIDTH)) + rng.normal(0, 1, (50, WIDTH))).astype(np.float32)
        for n in range(30)
    }
    assert find_prototypes(store(tmp_path, bags), list(bags), 4) is None


def programmes(bags: BagStore, shares: np.ndarray, n: int | None) -> ExpressionProgrammes:
    """Learnt from a gene that follows the share of rare tissue."""
    rng = np.random.default_rng(2)
    genes = np.stack([shares / shares.std(), rng.normal(size=len(shares))], axis=1)
    labels = (shares > np.median(shares)).astype(np.int64)
    names = ["mrna:A", "mrna:B"]
    patients = bags.patients
    return fit_programmes(bags, patients, genes, labels, 2, names, patients, n)


def test_programmes_find_rare_tissue_that_the_mean_patch_does_not_tell(
    stored: tuple[BagStore, np.ndarray], tmp_path: Path
) -> None:
    bags, shares = stored
    new, truth = tissue(seed=9)
    asked = store(tmp_path, new)
    found = {}
    for n in (None, 8):
        fitted = programmes(bags, shares, n)
        told = [float(fitted.transform(asked.bag(p)).mean(dim=0)[0]) for p in asked.patients]
        found[n] = abs(float(np.corrcoef(told, truth)[0, 1]))
    assert found[8] > 0.9
    assert (found[None] or 0) < 0.5


def test_a_bag_is_told_as_the_mean_of_its_patches(stored: tuple[BagStore, np.ndarray]) -> None:
    bags, shares = stored
    fitted = programmes(bags, shares, 8)
    assert isinstance(fitted.basis, PatchBasis)
    bag = bags.bag("P3")
    of_mean = fitted.basis.mean(bag) @ fitted.weight.numpy() + fitted.bias.numpy()
    np.testing.assert_allclose(fitted.transform(bag).mean(dim=0), of_mean, atol=1e-4)
    expected = np.hstack(
        [fitted.basis.squash.transform(bag), fitted.basis.prototypes.transform(bag)]
    )
    np.testing.assert_allclose(fitted.basis.mean(bag), expected.mean(axis=0), rtol=1e-4)


def test_a_stored_map_reads_patches_as_before(
    stored: tuple[BagStore, np.ndarray], tmp_path: Path
) -> None:
    bags, shares = stored
    fitted = programmes(bags, shares, 8)
    Transforms(None, {}, fitted).save(tmp_path)
    restored = Transforms.load(tmp_path).programmes
    assert restored is not None
    assert isinstance(restored.basis, PatchBasis)
    assert restored.transform(bags.bag("P1")).equal(fitted.transform(bags.bag("P1")))


def test_prototypes_have_their_share_of_the_variance() -> None:
    inputs = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(1, 8)
    balanced = inputs * _balance(inputs, 4)
    variances = balanced.var(axis=0)
    assert variances.sum() == pytest.approx(inputs.var(axis=0).sum())
    assert variances[4:].sum() / variances.sum() == pytest.approx(0.9)
