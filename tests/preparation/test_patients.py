"""Batches: who is in them, in which order, with what."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from histodistill.features import BagStore, FeatureScaler
from histodistill.preparation import PreparedPatients, Transforms
from tests.preparation.cohorts import SIZES, WIDTH, preprocessor, store, table

CPU = torch.device("cpu")
TOKEN_SIZE = 4
# a to f have slides; mRNA of b to g, copy number of c, d and h.
GENOMICS = {"mrna": table("bcdefg"), "cna": table("hdc", 3, seed=2, prefix="C")}
LABELS = {"a": 0, "b": 1, "d": 1, "g": 0}


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> BagStore:
    return store(tmp_path_factory.mktemp("bags"))


@pytest.fixture(scope="module")
def transforms() -> Transforms:
    return Transforms(None, {name: preprocessor().fit(values) for name, values in GENOMICS.items()})


@pytest.fixture(scope="module")
def prepared(bags: BagStore, transforms: Transforms) -> PreparedPatients:
    return PreparedPatients(bags, transforms.scaled(GENOMICS), transforms, TOKEN_SIZE, LABELS)


def test_who_has_what(prepared: PreparedPatients) -> None:
    assert [p for p in "abcdefgh" if prepared.has_slides(p)] == list("abcdef")
    assert [p for p in "abcdefgh" if prepared.has_genes(p)] == list("bcdefgh")
    everybody = "abcdefgh"
    assert [p for p in everybody if prepared.has_inputs(p, "student")] == list("abcdef")
    assert [p for p in everybody if prepared.has_inputs(p, "multimodal")] == list("bcdef")
    assert [p for p in everybody if prepared.has_inputs(p, "genomic")] == list("bcdefgh")
    assert [prepared.n_patches(p) for p in "abg"] == [SIZES["a"], SIZES["b"], 0]
    assert prepared.labels(list("abcg")).tolist() == [0, 1, -1, 0]
    assert prepared.feature_width == WIDTH


def test_a_batch_holds_its_patients_in_their_order(
    prepared: PreparedPatients, bags: BagStore, transforms: Transforms
) -> None:
    patients = ["g", "c", "a", "h", "c"]
    batch = prepared.batch(patients, device=CPU)
    assert batch.labels.tolist() == [0, -1, 0, -1, -1]
    assert batch.paired_rows.tolist() == [1, 4]

    assert batch.bags is not None
    assert batch.bags.rows.tolist() == [1, 2, 4]
    assert batch.bags.sizes == (SIZES["c"], SIZES["a"], SIZES["c"])
    expected = torch.cat([bags.bag(patient) for patient in ("c", "a", "c")])
    assert torch.equal(batch.bags.patches, expected)

    assert batch.genes is not None
    assert batch.genes.rows.tolist() == [0, 1, 3, 4]
    assert batch.genes.present["mrna"].tolist() == [True, True, False, True]
    assert batch.genes.present["cna"].tolist() == [False, True, True, True]
    for name, values in GENOMICS.items():
        scaled = transforms.blocks[name].transform(values)
        for row, patient in enumerate(["g", "c", "h", "c"]):
            tokens = batch.genes.tokens[name][row].flatten().numpy()
            if patient in values.index:
                own = scaled[values.index.get_loc(patient)]
                np.testing.assert_array_equal(tokens[: len(own)], own)
                assert (tokens[len(own) :] == 0).all()
            else:
                assert (tokens == 0).all()
    # mRNA fills two tokens, copy number one.
    assert batch.genes.mask().tolist() == [
        [True, True, False],
        [True, True, True],
        [False, False, True],
        [True, True, True],
    ]


def test_a_batch_leaves_the_cohort_as_it_was(prepared: PreparedPatients) -> None:
    first = prepared.batch(["c", "h"], device=CPU)
    assert first.bags is not None
    assert first.genes is not None
    first.bags.patches.zero_()
    for tokens in first.genes.tokens.values():
        tokens.zero_()
    again = prepared.batch(["c", "h"], device=CPU)
    assert again.bags is not None
    assert again.genes is not None
    assert (again.bags.patches != 0).any()
    assert all((tokens != 0).any() for tokens in again.genes.tokens.values())


def test_batches_of_one_modality(prepared: PreparedPatients) -> None:
    slides = prepared.batch(["a"], device=CPU)
    assert slides.bags is not None
    assert slides.genes is None
    genes = prepared.batch(["g", "h"], device=CPU)
    assert genes.bags is None
    assert genes.genes is not None


def test_a_method_that_reads_one_modality_sees_no_other(
    bags: BagStore, transforms: Transforms
) -> None:
    slides = PreparedPatients(bags, {}, Transforms(None, {}), TOKEN_SIZE)
    assert not slides.has_genes("b")
    assert slides.batch(["a", "b"], device=CPU).genes is None
    genes = PreparedPatients(None, transforms.scaled(GENOMICS), transforms, TOKEN_SIZE)
    assert genes.feature_width is None
    assert not genes.has_slides("b")
    assert genes.n_patches("b") == 0
    assert genes.batch(["b", "h"], device=CPU).bags is None


def test_a_block_that_nobody_has_is_absent(bags: BagStore, transforms: Transforms) -> None:
    """As at prediction time, when a table is not given."""
    prepared = PreparedPatients(
        bags, transforms.scaled({"cna": GENOMICS["cna"]}), transforms, TOKEN_SIZE
    )
    batch = prepared.batch(["c", "h"], device=CPU)
    assert batch.genes is not None
    assert batch.genes.tokens["mrna"].shape == (2, 2, TOKEN_SIZE)
    assert not batch.genes.present["mrna"].any()
    assert batch.genes.present["cna"].all()


def test_a_sample_is_drawn_from_the_own_bag(prepared: PreparedPatients, bags: BagStore) -> None:
    patients = ["f", "a", "f"]

    def draw(seed: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(seed)
        batch = prepared.batch(patients, device=CPU, patches=3, generator=generator)
        assert batch.bags is not None
        assert batch.bags.sizes == (3, SIZES["a"], 3)
        return batch.bags.patches

    assert torch.equal(draw(0), draw(0))
    draws = [draw(seed) for seed in range(20)]
    assert any(not torch.equal(draws[0], other) for other in draws)
    assert any(not torch.equal(one[:3], one[-3:]) for one in draws)  # each repeat draws anew
    own = {tuple(patch) for patch in bags.bag("f").tolist()}
    drawn = {tuple(patch) for one in draws for patch in one[:3].tolist()}
    assert drawn == own


def test_patches_are_standardised_and_take_the_wanted_type(
    bags: BagStore, transforms: Transforms
) -> None:
    scaler = FeatureScaler.fit(bags, ["a", "b"])
    prepared = PreparedPatients(
        bags,
        transforms.scaled(GENOMICS),
        Transforms(scaler, transforms.blocks),
        TOKEN_SIZE,
    )
    batch = prepared.batch(["a", "c"], device=CPU)
    assert batch.bags is not None
    expected = (torch.cat([bags.bag("a"), bags.bag("c")]) - scaler.mean) / scaler.scale
    torch.testing.assert_close(batch.bags.patches, expected)
    reduced = prepared.batch(["a"], device=CPU, dtype=torch.bfloat16)
    assert reduced.bags is not None
    assert reduced.bags.patches.dtype is torch.bfloat16
