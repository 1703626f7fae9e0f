"""Expression programmes: the map against brute force, and the bags that it reads."""

from __future__ import annotations

import gc
import math
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from histodistill.errors import InputError
from histodistill.features import BagStore, open_bags
from histodistill.preparation import ExpressionProgrammes, PreparedPatients, Transforms
from histodistill.preparation.gene_weights import label_correlation
from histodistill.preparation.programmes import (
    ProgrammeBags,
)
from tests.preparation.cohorts import WIDTH, WITH_SLIDES, preprocessor, store, table

Array = NDArray[np.float64]
CPU = torch.device("cpu")
# As the module has them: penalties per patient, and the student's share of the best one.
PENALTIES = [10 ** (-1.5 + 0.25 * step) for step in range(17)]
LENIENCE = 0.25


def cohort(n: int = 14, n_genes: int = 9, seed: int = 0) -> tuple[Array, Array, NDArray[np.int64]]:
    """Mean patches [n, 4], genes that they tell about, and labels, some unknown."""
    rng = np.random.default_rng(seed)
    means = rng.normal(2, [1, 3, 0.1, 5], size=(n, 4))
    genes = means @ rng.normal(size=(4, n_genes)) + rng.normal(size=(n, n_genes))
    labels = (genes[:, 0] > np.median(genes[:, 0])).astype(np.int64)
    labels[::5] = -1
    return means, genes, labels


def correlations(genes: Array, labels: NDArray[np.int64]) -> list[float]:
    """By a loop over genes, for two classes."""
    known = labels >= 0
    return [abs(float(np.corrcoef(gene[known], labels[known])[0, 1])) for gene in genes.T]


def brute_force(
    means: Array, genes: Array, labels: NDArray[np.int64], k: int
) -> tuple[Array, Array]:
    """Weight [F, k] and bias [k], without any library's PCA or ridge regression."""
    n, width = means.shape
    weighted = genes * correlations(genes, labels)
    centred = weighted - weighted.mean(axis=0)
    _, _, components = np.linalg.svd(centred, full_matrices=False)
    scores: Array = centred @ components[:k].T
    x = (means - means.mean(axis=0)) / means.std(axis=0)
    told = np.array([math.sqrt(sum((x[:, f] @ s) ** 2 for s in scores.T)) for f in range(width)])
    factors = told / math.sqrt((told**2).mean())
    x *= factors

    def ridge(rows: NDArray[np.bool_], penalty: float) -> tuple[Array, Array]:
        """By the normal equations, the intercept not penalised."""
        design = np.hstack([x[rows], np.ones((rows.sum(), 1))])
        penalties = penalty * np.diag([1.0] * width + [0.0])
        solved = np.linalg.solve(design.T @ design + penalties, design.T @ scores[rows])
        return solved[:width], solved[width]

    def left_out_error(penalty: float) -> float:
        error = 0.0
        for left_out in range(n):
            slope, intercept = ridge(np.arange(n) != left_out, penalty)
            error += float(np.square(x[left_out] @ slope + intercept - scores[left_out]).sum())
        return error

    best = min((n * penalty for penalty in PENALTIES), key=left_out_error)
    slope, _ = ridge(np.ones(n, dtype=bool), LENIENCE * best)
    answers = x @ slope
    scale = means.std(axis=0) / factors
    weight = slope / (answers - answers.mean(axis=0)).std() / scale[:, None]
    return weight, -means.mean(axis=0) @ weight


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_map_is_ridge_regression_of_principal_components(seed: int) -> None:
    means, genes, labels = cohort(seed=seed)
    fitted = ExpressionProgrammes.fit(means, genes, labels, 3)
    weight, bias = brute_force(means, genes, labels, 3)
    assert fitted.width == 3
    # A component may point either way.
    signs = np.sign((weight * fitted.weight.numpy()).sum(axis=0))
    np.testing.assert_allclose(fitted.weight, weight * signs, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(fitted.bias, bias * signs, rtol=1e-4, atol=1e-5)


def test_answers_have_mean_0_and_one_common_scale() -> None:
    means, genes, labels = cohort(40)
    fitted = ExpressionProgrammes.fit(means, genes, labels, 3)
    answers = fitted.transform(torch.from_numpy(means)).numpy()
    np.testing.assert_allclose(answers.mean(axis=0), 0, atol=1e-5)
    assert answers.std() == pytest.approx(1, rel=1e-5)
    assert answers.std(axis=0).max() > 1.05 > 0.95 > answers.std(axis=0).min()


def test_the_answer_to_the_mean_patch_is_the_mean_answer() -> None:
    means, genes, labels = cohort()
    fitted = ExpressionProgrammes.fit(means, genes, labels, 3)
    bag = torch.from_numpy(means).half()
    programmes = fitted.transform(bag)
    assert programmes.dtype is torch.float32
    mean = fitted.transform(bag.float().mean(dim=0, keepdim=True))[0]
    torch.testing.assert_close(programmes.mean(dim=0), mean, rtol=1e-4, atol=1e-5)


def test_features_that_do_not_vary_say_nothing() -> None:
    means, genes, labels = cohort()
    plain = ExpressionProgrammes.fit(means, genes, labels, 3)
    noise = 1 + 1e-9 * np.random.default_rng(0).normal(size=(len(means), 1))
    constants = np.hstack([np.zeros((len(means), 1)), 70 * noise])
    fitted = ExpressionProgrammes.fit(np.hstack([means, constants]), genes, labels, 3)
    assert torch.equal(fitted.weight[4:], torch.zeros(2, 3))
    torch.testing.assert_close(fitted.weight[:4], plain.weight)
    torch.testing.assert_close(fitted.bias, plain.bias)
    # Nothing varies at all: every answer is 0.
    blind = ExpressionProgrammes.fit(np.full((14, 4), 3.0), genes, labels, 3)
    torch.testing.assert_close(blind.transform(torch.full((1, 4), 5.0)), torch.zeros(1, 3))


@pytest.mark.parametrize(("n", "n_genes", "expected"), [(14, 2, 2), (4, 9, 3), (14, 1, 1)])
def test_few_genes_or_patients_make_few_programmes(n: int, n_genes: int, expected: int) -> None:
    means, genes, labels = cohort(n, n_genes)
    fitted = ExpressionProgrammes.fit(means, genes, labels, 30)
    assert fitted.width == expected
    assert fitted.weight.shape == (4, expected)
    assert fitted.bias.shape == (expected,)
    assert fitted.weight.isfinite().all()


def test_genes_that_do_not_vary_make_a_map_without_meaning_but_with_numbers() -> None:
    means, _, labels = cohort()
    fitted = ExpressionProgrammes.fit(means, np.ones((14, 5)), labels, 3)
    assert fitted.weight.isfinite().all()
    assert fitted.weight.abs().max() < 1e-3


def test_too_few_patients_are_refused() -> None:
    means, genes, labels = cohort()
    with pytest.raises(InputError) as refused:
        ExpressionProgrammes.fit(means[:2], genes[:2], labels[:2], 3)
    assert refused.value.problems == (
        "expression programmes need three or more training patients with slides and genomics, "
        "not 2",
    )
    ExpressionProgrammes.fit(means[:3], genes[:3], labels[:3], 3)


def test_correlation_with_two_classes_is_pearsons() -> None:
    _, genes, labels = cohort()
    np.testing.assert_allclose(label_correlation(genes, labels), correlations(genes, labels))
    shifted = genes * 7 - 100
    np.testing.assert_allclose(label_correlation(shifted, labels), correlations(genes, labels))


def test_correlation_with_three_classes_is_the_root_mean_square() -> None:
    _, genes, _ = cohort(20)
    labels = np.resize([0, 2, 5, -1], 20)
    known = labels >= 0
    expected = []
    for gene in genes.T:
        each = [np.corrcoef(gene[known], labels[known] == c)[0, 1] for c in (0, 2, 5)]
        expected.append(np.sqrt(np.mean(np.square(each))))
    np.testing.assert_allclose(label_correlation(genes, labels), expected)


def test_patients_without_a_label_do_not_weigh_genes() -> None:
    _, genes, labels = cohort()
    before = label_correlation(genes, labels)
    genes[labels < 0] += 1000
    assert np.array_equal(label_correlation(genes, labels), before)


@pytest.mark.parametrize("labels", [[-1] * 5, [1, 1, -1, 1, -1]])
def test_without_two_known_classes_all_genes_weigh_the_same(labels: list[int]) -> None:
    genes = np.random.default_rng(0).normal(size=(5, 3))
    assert label_correlation(genes, np.array(labels)).tolist() == [1, 1, 1]


def test_a_constant_gene_weighs_nothing() -> None:
    _, genes, labels = cohort()
    genes[:, 1] = 3.3
    assert label_correlation(genes, labels)[1] < 1e-3


def a_map(seed: int = 0, k: int = 2) -> ExpressionProgrammes:
    rng = np.random.default_rng(seed)
    means, genes = rng.normal(size=(8, WIDTH)), rng.normal(size=(8, 5))
    return ExpressionProgrammes.fit(means, genes, np.resize([0, 1], 8), k)


def unkept(folder: Path) -> BagStore:
    """The same bags, too large to be kept in memory."""
    kept = store(folder)
    paths = {p: [slide.path for slide in kept.slides(p)] for p in kept.patients}
    return open_bags(paths, memory_limit_bytes=1)


def test_a_map_travels_whole(tmp_path: Path) -> None:
    programmes = a_map()
    fitted = {"mrna": preprocessor().fit(table("abcd"))}
    Transforms(None, fitted, programmes).save(tmp_path)
    read = Transforms.load(tmp_path)
    assert read.scaler is None
    assert read.programmes is not None
    assert read.programmes.width == 2
    for name, values in programmes.to_tensors().items():
        assert values.equal(read.programmes.to_tensors()[name])
    assert {"programmes.weight", "programmes.bias"} < set(
        load_file(tmp_path / "transforms.safetensors")
    )


def test_transforms_that_know_no_programmes_are_read(tmp_path: Path) -> None:
    """As written before there were any."""
    Transforms(None, {}).save(tmp_path)
    described = tmp_path / "transforms.json"
    described.write_text('{"standardised": false, "blocks": {}}')
    assert Transforms.load(tmp_path) == Transforms(None, {}, None)


def test_mean_patches_are_the_means(tmp_path: Path) -> None:
    bags = store(tmp_path)
    means = bags.mean_patches(["c", "a"])
    for mean, patient in zip(means, "ca", strict=True):
        np.testing.assert_allclose(mean, bags.bag(patient).numpy().mean(axis=0), rtol=1e-6)
    assert bags.mean_patches([]).shape == (0, WIDTH)


def test_bags_are_read_once_for_their_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags, read, original = unkept(tmp_path), [], BagStore.bag

    def noted(self: BagStore, patient: str) -> torch.Tensor:
        read.append(patient)
        return original(self, patient)

    monkeypatch.setattr(BagStore, "bag", noted)
    first = bags.mean_patches(["a", "b"])
    again = bags.mean_patches(["c", "b", "a"])
    assert read == ["a", "b", "c"]
    np.testing.assert_array_equal(again[[2, 1]], first)
    first += 1  # the caller's own
    np.testing.assert_array_equal(bags.mean_patches(["a", "b"]), again[[2, 1]])
    # Another store of the same patients is another cohort.
    changed = store(tmp_path / "other", {"a": np.full((2, WIDTH), 7, dtype="float32")})
    assert changed.mean_patches(["a"]).tolist() == [[7] * WIDTH]


@pytest.mark.parametrize("kept", [True, False])
def test_bags_are_read_as_programmes(tmp_path: Path, kept: bool) -> None:
    bags = store(tmp_path) if kept else unkept(tmp_path)
    assert bags.in_memory == kept
    programmes = a_map()
    read = ProgrammeBags(bags, programmes)
    assert read.patients == WITH_SLIDES
    assert read.width == 2
    for patient in WITH_SLIDES:
        assert read.n_patches(patient) == bags.n_patches(patient)
        assert torch.equal(read.bag(patient), programmes.transform(bags.bag(patient)))
    # A cohort that does not stay in memory does not stay there as programmes either.
    assert (read.bag("a") is read.bag("a")) == kept


@pytest.mark.parametrize("kept", [True, False])
def test_a_sample_is_of_the_rows_that_the_store_draws(tmp_path: Path, kept: bool) -> None:
    bags = store(tmp_path) if kept else unkept(tmp_path)
    programmes = a_map()
    read = ProgrammeBags(bags, programmes)
    for patient in WITH_SLIDES:
        for seed in range(3):
            ours, theirs = (torch.Generator().manual_seed(seed) for _ in range(2))
            sample = read.sample(patient, 4, ours)
            drawn = bags.sample(patient, 4, theirs)
            assert len(sample) == min(4, bags.n_patches(patient))
            torch.testing.assert_close(sample, programmes.transform(drawn))
            # And what is drawn next is the same as well.
            assert torch.equal(ours.get_state(), theirs.get_state())


def test_patients_are_read_as_programmes(tmp_path: Path) -> None:
    bags, genes = store(tmp_path), {"mrna": table("bcdg")}
    programmes = a_map()
    transforms = Transforms(None, {"mrna": preprocessor().fit(genes["mrna"])}, programmes)
    prepared = PreparedPatients(bags, transforms.scaled(genes), transforms, token_size=4)
    assert prepared.feature_width == 2
    assert prepared.n_patches("f") == bags.n_patches("f")
    batch = prepared.batch(["g", "c", "a"], device=CPU)
    assert batch.bags is not None
    expected = torch.cat([programmes.transform(bags.bag(patient)) for patient in "ca"])
    assert torch.equal(batch.bags.patches, expected)
    assert batch.paired_rows.tolist() == [1]

    few, again = (
        prepared.batch(["f"], device=CPU, patches=3, generator=torch.Generator().manual_seed(1))
        for _ in range(2)
    )
    assert few.bags is not None
    assert again.bags is not None
    assert few.bags.sizes == (3,)
    assert torch.equal(few.bags.patches, again.bags.patches)
    # Without slides the map has nothing to read.
    assert (
        PreparedPatients(None, transforms.scaled(genes), transforms, 4)
        .batch(["b"], device=CPU)
        .bags
        is None
    )


def test_a_cohort_that_nobody_uses_is_not_kept(tmp_path: Path) -> None:
    bags, programmes = store(tmp_path), a_map()
    prepared = PreparedPatients(bags, {}, Transforms(None, {}, programmes), 4)
    prepared.batch(["a"], device=CPU)
    bags.mean_patches(["a"])
    gone = weakref.ref(bags)
    del bags
    gc.collect()
    assert gone() is not None  # the patients are still in use
    del prepared
    gc.collect()
    assert gone() is None
