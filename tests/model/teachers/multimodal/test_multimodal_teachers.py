"""What every network that reads slides and genes has in common."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from histodistill.model import Bags, Batch, Genes, Networks
from histodistill.model.registries import MULTIMODAL_TEACHERS
from tests.model.batches import SMALL as SIZES_OF_NETWORKS
from tests.model.batches import TOKEN_SIZE, WIDTH, alone, bags, genes, gradients, networks
from tests.model.teachers.multimodal.patients import (
    ABSENT,
    BLOCKS,
    NAMES,
    SIZES,
    answer,
    patients,
    teacher,
)

every_name = pytest.mark.parametrize("name", NAMES)
# A softmax ignores what all of its scores have in common.
WITHOUT_EFFECT = "attention.score.bias"


def test_every_name_has_its_network() -> None:
    for name in NAMES:
        own = MULTIMODAL_TEACHERS.facts_of(MULTIMODAL_TEACHERS.load(name))
        assert own == MULTIMODAL_TEACHERS.facts(name)


@every_name
def test_gradients_reach_all_parameters(name: str) -> None:
    network = teacher(name, width=16, fusion_width=8).train()
    output = answer(network, *patients())
    loss = cross_entropy(output.logits, torch.tensor([0, 1, 1, 0]))
    if output.auxiliary is not None:
        loss = loss + output.auxiliary
    loss.backward()
    for parameter, gradient in gradients(network).items():
        assert gradient.isfinite().all(), parameter
        if not parameter.endswith(WITHOUT_EFFECT):
            assert gradient.abs().max() > 0, parameter


@every_name
def test_batch_mates_do_not_matter(name: str) -> None:
    network = teacher(name)
    together = answer(network, *patients())
    batch = Batch(*patients(), torch.zeros(len(SIZES), dtype=torch.int64))
    for row in SIZES:
        single = alone(batch, row)
        assert single.bags is not None
        assert single.genes is not None
        own = answer(network, single.bags, single.genes)
        torch.testing.assert_close(own.features[0], together.features[row])
        torch.testing.assert_close(own.logits[0], together.logits[row])


@every_name
def test_the_answer_without_gradients_is_the_same(name: str) -> None:
    network = teacher(name)
    expected = answer(network, *patients())
    with torch.inference_mode():  # PyTorch's transformers and our pooling go other ways here
        output = answer(network, *patients())
    torch.testing.assert_close(output.logits, expected.logits)


@every_name
def test_a_missing_block_does_not_matter_whatever_it_holds(name: str) -> None:
    network = teacher(name)
    all_bags, all_genes = patients()
    before = answer(network, all_bags, all_genes)
    changed = {block: values.clone() for block, values in all_genes.tokens.items()}
    for block, lacking in ABSENT.items():
        changed[block][list(lacking)] = 100.0
    after = answer(network, all_bags, replace(all_genes, tokens=changed))
    assert torch.equal(before.logits, after.logits)
    present = {block: torch.ones(len(SIZES), dtype=torch.bool) for block in BLOCKS}
    measured = answer(network, all_bags, replace(all_genes, present=present))
    same = [torch.equal(*both) for both in zip(before.logits, measured.logits, strict=True)]
    assert same == [True, False, False, True]


@every_name
def test_patients_without_slides_or_without_genes_are_left_out(name: str) -> None:
    network = teacher(name)
    some_bags, some_genes = bags({0: 5, 2: 9, 5: 3}), genes((1, 2, 5, 6), BLOCKS)
    output = answer(network, some_bags, some_genes)
    assert output.rows.tolist() == [2, 5]
    only = Genes(
        {block: values[[1, 2]] for block, values in some_genes.tokens.items()},
        {block: values[[1, 2]] for block, values in some_genes.present.items()},
        torch.tensor([2, 5]),
    )
    expected = answer(network, bags({2: 9, 5: 3}), only)
    torch.testing.assert_close(output.logits, expected.logits)


@every_name
def test_nobody_with_both_gets_no_answer(name: str) -> None:
    settings = SIZES_OF_NETWORKS.model_copy(
        update={"networks": ("multimodal",), "multimodal": name}
    )
    model = networks(("mrna",), settings=settings)
    assert model(Batch(bags({0: 3}), genes((1,)), torch.tensor([0, 1]))) == {}


@every_name
def test_bags_of_one_patch(name: str) -> None:
    network = teacher(name).train()
    output = answer(network, bags({0: 1, 1: 1}), genes((0, 1), BLOCKS))
    widths = {"linear": WIDTH + 5 * TOKEN_SIZE, "experts": 8 + 8}
    assert output.features.shape == (2, widths.get(name, 8))
    output.logits.sum().backward()
    assert all(gradient.isfinite().all() for gradient in gradients(network).values())


@every_name
def test_dropout_is_for_training_alone(name: str) -> None:
    network = teacher(name, dropout=0.5)
    inputs = patients()
    assert torch.equal(answer(network, *inputs).logits, answer(network, *inputs).logits)
    network.train()
    assert not torch.equal(answer(network, *inputs).logits, answer(network, *inputs).logits)


@every_name
def test_bfloat16(name: str) -> None:
    network = teacher(name).float().train()
    all_bags, all_genes = patients()
    narrow = Bags((all_bags.patches.bfloat16(),), all_bags.sizes, all_bags.rows)
    tokens = {block: values.float() for block, values in all_genes.tokens.items()}
    exact = answer(network, narrow, replace(all_genes, tokens=tokens))
    with torch.autocast("cpu", torch.bfloat16):
        output = answer(network, narrow, replace(all_genes, tokens=tokens))
    torch.testing.assert_close(output.logits.float(), exact.logits, atol=0.1, rtol=0.1)
    output.logits.float().sum().backward()
    assert all(gradient.isfinite().all() for gradient in gradients(network).values())


@every_name
def test_networks_can_be_built_again(name: str) -> None:
    settings = SIZES_OF_NETWORKS.model_copy(update={"multimodal": name})
    model = networks(("mrna", "cna"), n_classes=3, settings=settings)
    again = Networks.from_architecture(model.architecture()).double()
    again.load_state_dict(model.state_dict())
    batch = Batch(
        bags(SIZES), genes(tuple(SIZES), {"mrna": 3, "cna": 3}), torch.tensor([0, 1, 2, 0])
    )
    first, second = model.eval()(batch)["multimodal"], again.eval()(batch)["multimodal"]
    assert torch.equal(first.logits, second.logits)
