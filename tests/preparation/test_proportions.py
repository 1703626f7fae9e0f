"""Learning from proportions: the shares of bags, rare tissue, and what is done with detectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.evaluation import roc_auc
from histodistill.features import BagStore
from histodistill.preparation import ExpressionProgrammes, Transforms
from histodistill.preparation.detection import agreeing, fit_detection, parts_of
from histodistill.preparation.patch_basis import PatchBasis
from histodistill.preparation.programmes import fit_programmes
from histodistill.preparation.proportions import (
    SHARES,
    _balanced,
    _expected,
    _teaching,
    find_detectors,
)
from tests.preparation.cohorts import store

WIDTH, PATCHES = 8, 100


def tissue(n: int = 80, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Bags, the score of each, and which patches are rare: about three of a hundred."""
    rng = np.random.default_rng(seed)
    kinds = np.random.default_rng(99).normal(size=(6, WIDTH)) * 2
    scores = rng.normal(size=n)
    bags, rare = {}, np.zeros((n, PATCHES), bool)
    for number, score in enumerate(scores):
        rare[number] = rng.random(PATCHES) < 0.03 * np.exp(score)
        common = rng.choice(5, size=PATCHES, p=rng.dirichlet(np.full(5, 3)))
        centres = kinds[np.where(rare[number], 5, common)]
        bags[f"P{number:03d}"] = (centres + rng.normal(size=centres.shape)).astype(np.float32)
    return bags, scores, rare


@pytest.fixture(scope="module")
def stored(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[BagStore, np.ndarray, np.ndarray]:
    bags, scores, rare = tissue()
    return store(tmp_path_factory.mktemp("bags"), bags), scores, rare


def programmes(bags: BagStore, scores: np.ndarray, *, proportions: bool) -> ExpressionProgrammes:
    """Learnt from a gene that is the score, and one of chance."""
    genes = np.stack([scores, np.random.default_rng(2).normal(size=len(scores))], axis=1)
    labels = (scores > np.median(scores)).astype(np.int64)
    patients, names = bags.patients, ["mrna:A", "mrna:B"]
    return fit_programmes(
        bags, patients, genes, labels, 2, names, patients, 8, proportions=proportions
    )


def test_what_is_expected_is_the_share_on_average_and_a_factor_of_e_a_deviation() -> None:
    scores = np.array([-1.0, 0.0, 1.0])
    scores = scores / scores.std()
    expected = _expected(scores).numpy()
    assert expected.shape == (3, 2 * len(SHARES))
    for number, share in enumerate(SHARES):
        high, low = expected[:, 2 * number], expected[:, 2 * number + 1]
        np.testing.assert_allclose(high.mean(), share, rtol=1e-5)
        np.testing.assert_allclose(high[::-1], low, rtol=1e-5)
        np.testing.assert_allclose(high[2] / high[1], np.exp(scores[2]), rtol=1e-5)


def test_each_bag_has_its_share() -> None:
    rng = np.random.default_rng(0)
    owner = torch.repeat_interleave(torch.arange(3), torch.tensor([4, 1, 7]))
    logits = torch.from_numpy(rng.normal(size=(12, 2)) * 5).float()
    shares = torch.from_numpy(rng.uniform(0.01, 0.9, (3, 2))).float()
    found = _balanced(logits, owner, shares)
    for bag in range(3):
        np.testing.assert_allclose(found[owner == bag].mean(dim=0), shares[bag], atol=1e-4)
        moved = torch.logit(found[owner == bag].double()) - logits[owner == bag]
        np.testing.assert_allclose(moved - moved[0], 0, atol=2e-3)


def test_detectors_find_rare_patches_that_nobody_has_shown_them(
    stored: tuple[BagStore, np.ndarray, np.ndarray],
) -> None:
    bags, scores, rare = stored
    found, told = find_detectors(bags, bags.patients, scores, parts_of(bags.patients))
    patches = torch.cat([found.transform(bags.bag(patient)) for patient in bags.patients])
    assert patches.shape == (rare.size, 2 * len(SHARES))
    assert roc_auc(rare.ravel(), patches[:, 0].numpy()) > 0.95
    assert told.shape == (len(scores), 2 * len(SHARES))
    assert np.corrcoef(told[:, 0], scores)[0, 1] > 0.5
    again, _ = find_detectors(bags, bags.patients, scores, parts_of(bags.patients))
    assert again.weight.equal(found.weight)


def test_a_patient_teaches_nothing_of_what_is_told_of_it(
    stored: tuple[BagStore, np.ndarray, np.ndarray],
) -> None:
    bags, _, _ = stored
    chance = np.random.default_rng(5).normal(size=len(bags.patients))
    _, told = find_detectors(bags, bags.patients, chance, parts_of(bags.patients))
    assert abs(np.corrcoef(told[:, 0], chance)[0, 1]) < 0.35


def test_of_many_patients_some_teach_with_all_their_patches(
    stored: tuple[BagStore, np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few patches of each would not show the share that is foretold; who is left is told too."""
    bags, scores, rare = stored
    part = np.arange(len(scores)) // 77  # three patients are all of a part
    everybody = _teaching(bags, bags.patients, scores, part)
    assert everybody.tolist() == list(range(len(scores)))
    monkeypatch.setattr("histodistill.preparation.proportions._PATCHES", 40 * PATCHES)
    some = _teaching(bags, bags.patients, scores, part)
    assert len(some) in (39, 40)
    assert set(part[some]) == {0, 1}
    assert abs(scores[some].mean() - scores.mean()) < 0.1
    found, told = find_detectors(bags, bags.patients, scores, parts_of(bags.patients))
    assert np.corrcoef(told[:, 0], scores)[0, 1] > 0.5
    patches = torch.cat([found.transform(bags.bag(patient)) for patient in bags.patients])
    assert roc_auc(rare.ravel(), patches[:, 0].numpy()) > 0.9


def test_a_hospital_is_in_one_part() -> None:
    hospitals = [f"H{number % 7}" for number in range(70)]
    parts: dict[str, set[int]] = {hospital: set() for hospital in hospitals}
    for hospital, part in zip(hospitals, parts_of(hospitals), strict=True):
        parts[hospital].add(int(part))
    assert all(len(own) == 1 for own in parts.values())
    assert set.union(*parts.values()) == {0, 1, 2}
    assert parts_of(["A", "B", "C", "D"]).tolist() == [0, 1, 2, 0]  # everybody for himself


def test_the_detectors_that_agree_are_read() -> None:
    rng = np.random.default_rng(0)
    score = rng.normal(size=200)
    noise = rng.normal(size=(200, 4))
    told = np.column_stack(
        [
            score + noise[:, 0] * 0.1,
            noise[:, 1],
            3 * score + noise[:, 2] * 0.1,
            -score + noise[:, 3],
        ]
    )
    weights = agreeing(told, score)
    np.testing.assert_allclose(weights[[0, 2]], 1 / told[:, [0, 2]].std(axis=0))
    assert weights[1] == weights[3] == 0


def test_programmes_with_detectors_tell_new_patients_better(
    stored: tuple[BagStore, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    bags, scores, _ = stored
    new, truth, _ = tissue(seed=9)
    asked = store(tmp_path, new)
    found = {}
    for proportions in (False, True):
        fitted = programmes(bags, scores, proportions=proportions)
        told = [float(fitted.transform(asked.bag(p)).mean(dim=0)[0]) for p in asked.patients]
        found[proportions] = abs(float(np.corrcoef(told, truth)[0, 1]))
        assert bool(fitted.n_detectors) is proportions
    assert found[True] > found[False]


def test_detectors_count_for_what_they_are_worth_on_patients_they_have_not_seen() -> None:
    rng = np.random.default_rng(0)
    score, part = rng.normal(size=(90, 1)), np.arange(90) % 3
    means = rng.normal(size=(90, 4))
    follows = np.hstack([score + 0.3 * rng.normal(size=(90, 1)) for _ in range(2)])
    follows[:, 1] *= -1  # many where the score is low

    def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope = np.linalg.lstsq(x - x.mean(axis=0), y, rcond=None)[0]
        return slope, -x.mean(axis=0) @ slope

    found = fit_detection(means, follows, score, least_squares, part)
    told = follows @ found.weight
    assert np.corrcoef(told, score[:, 0])[0, 1] > 0.9
    assert found.regression < 0.2
    np.testing.assert_array_equal(found.regressed(np.hstack([means, follows])), means)

    taught = means.copy()
    taught[:, 0] = score[:, 0]
    turned = fit_detection(taught, -follows, score, least_squares, part)
    assert turned.weight.shape == (0,)  # against the score: worth nothing
    assert turned.regression == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(turned.regressed(means), means)


def test_detectors_that_add_nothing_are_left_out(tmp_path: Path) -> None:
    bags, _, _ = tissue(40)
    asked = store(tmp_path, bags)
    left_out = 0
    for seed in range(6):
        chance = np.random.default_rng(seed).normal(size=40)
        fitted = programmes(asked, chance, proportions=True)
        assert isinstance(fitted.basis, PatchBasis)
        assert fitted.n_prototypes == 8
        assert len(fitted.weight) == WIDTH + 8 + fitted.n_detectors
        assert (fitted.basis.detectors is None) == (fitted.n_detectors == 0)
        assert fitted.transform(asked.bag("P000")).isfinite().all()
        left_out += fitted.n_detectors == 0
    assert left_out


def test_a_bag_is_told_as_the_mean_of_its_patches_and_a_stored_map_as_before(
    stored: tuple[BagStore, np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    bags, scores, _ = stored
    fitted = programmes(bags, scores, proportions=True)
    assert isinstance(fitted.basis, PatchBasis)
    bag = bags.bag("P003")
    of_mean = fitted.basis.mean(bag) @ fitted.weight.numpy() + fitted.bias.numpy()
    np.testing.assert_allclose(fitted.transform(bag).mean(dim=0), of_mean, atol=1e-4)
    Transforms(None, {}, fitted).save(tmp_path)
    restored = Transforms.load(tmp_path).programmes
    assert restored is not None
    assert restored.n_detectors == 2 * len(SHARES)
    assert restored.transform(bag).equal(fitted.transform(bag))


def test_where_patches_hardly_differ_nothing_is_detected(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bags = {
        f"P{number}": (rng.normal(size=(1, 5)) + 0.01 * rng.normal(size=(30, 5))).astype(np.float32)
        for number in range(30)
    }
    fitted = programmes(store(tmp_path, bags), rng.normal(size=30), proportions=True)
    assert fitted.n_detectors == fitted.n_prototypes == 0


@pytest.mark.parametrize("n", [3, 4, 7])
def test_few_patients_are_enough_for_numbers(tmp_path: Path, n: int) -> None:
    bags, scores, _ = tissue(n)
    fitted = programmes(store(tmp_path, bags), scores, proportions=True)
    assert fitted.n_prototypes
    assert fitted.transform(torch.from_numpy(bags["P000"])).isfinite().all()
