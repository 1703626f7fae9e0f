"""Ragged batches, tokens, blocks and fusions of the three networks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from histodistill.model import (
    NETWORKS,
    Bags,
    Batch,
    Fusion,
    Genes,
    NetworkName,
    Networks,
    NetworkSettings,
    ObjectiveSettings,
    Output,
    objective,
    to_tokens,
)
from histodistill.model.layers.attention import pool_bags, pool_tokens
from histodistill.model.layers.fusion import BilinearProduct
from histodistill.model.registries import STUDENTS
from histodistill.model.students.abmil import ABMIL
from tests.model.batches import (
    SMALL,
    TOKEN_SIZE,
    WIDTH,
    alone,
    bags,
    genes,
    gradients,
    networks,
)

Outputs = dict[NetworkName, Output]
SIZES = {0: 5, 1: 1, 2: 9, 3: 3, 4: 30}
EVERYBODY = list(SIZES)


@pytest.fixture
def batch() -> Batch:
    return Batch(bags(SIZES), genes(EVERYBODY), torch.tensor([0, 1, 1, 0, 1]))


def one_by_one(model: Networks, batch: Batch) -> Outputs:
    """The outputs of a loop over the patients, their graphs kept."""
    rows = range(len(batch.labels))
    answers = [(row, model(alone(batch, row))) for row in rows]
    together: Outputs = {}
    for name in NETWORKS:
        mine = [(row, answer[name]) for row, answer in answers if name in answer]
        if mine:
            together[name] = Output(
                torch.cat([output.features for _, output in mine]),
                torch.cat([output.logits for _, output in mine]),
                torch.tensor([row for row, _ in mine]),
            )
    return together


def train_once(model: Networks, batch: Batch, looped: bool) -> tuple[Outputs, dict[str, Tensor]]:
    outputs: Outputs = one_by_one(model, batch) if looped else model(batch)
    model.zero_grad()
    terms = objective(outputs, batch.labels, ObjectiveSettings())
    torch.stack(list(terms.values())).sum().backward()
    return outputs, gradients(model)


@pytest.mark.parametrize("fusion", ["bilinear", "concat"])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("everybody", [True, False])
def test_a_batch_is_the_loop_over_its_patients(
    fusion: Fusion, n_classes: int, everybody: bool
) -> None:
    """Outputs and gradients of one forward and backward, and of one bag at a time."""
    model = networks(
        ["mrna", "cna"], n_classes, SMALL.model_copy(update={"fusion": fusion, "dropout": 0.0})
    )
    tokens = {"mrna": 3, "cna": 2}
    batch = Batch(
        bags(SIZES if everybody else {0: 5, 2: 9, 4: 30}),
        genes(EVERYBODY, tokens) if everybody else genes([0, 1, 3, 4], tokens, {"cna": [0, 3]}),
        torch.tensor([0, 1, n_classes - 1, 0 if everybody else -1, 1]),
    )
    batched, of_batch = train_once(model, batch, looped=False)
    looped, of_loop = train_once(model, batch, looped=True)
    assert list(batched) == list(NETWORKS) == list(looped)
    for name in NETWORKS:
        assert batched[name].rows.equal(looped[name].rows)
        assert batched[name].logits.shape[1] == n_classes
        torch.testing.assert_close(batched[name].features, looped[name].features, rtol=1e-6, atol=0)
        torch.testing.assert_close(batched[name].logits, looped[name].logits, rtol=1e-6, atol=1e-9)
    largest = max(float(gradient.abs().max()) for gradient in of_loop.values())
    for parameter, gradient in of_batch.items():
        torch.testing.assert_close(gradient, of_loop[parameter], rtol=1e-6, atol=1e-8 * largest)


def test_every_parameter_learns(batch: Batch) -> None:
    """Nothing in the networks is dead weight (a softmax ignores the bias of its scores)."""
    _, found = train_once(networks(), batch, looped=False)
    still = {name for name, gradient in found.items() if gradient.abs().max() < 1e-12}
    assert all(name.endswith("attention.score.bias") for name in still)


def test_other_bags_leave_a_bag_alone(batch: Batch) -> None:
    model = networks()
    assert batch.bags is not None
    patches = batch.bags.patches.clone()
    patches[:5] += 100
    changed = Batch(Bags((patches,), batch.bags.sizes, batch.bags.rows), batch.genes, batch.labels)
    before, after = model(batch), model(changed)
    for name in ("student", "multimodal"):
        assert not torch.equal(before[name].features[0], after[name].features[0])
        assert torch.equal(before[name].features[1:], after[name].features[1:])
    assert torch.equal(before["genomic"].logits, after["genomic"].logits)


def test_the_order_of_patches_means_nothing(batch: Batch) -> None:
    model = networks()
    assert batch.bags is not None
    generator = torch.Generator().manual_seed(5)
    shuffled = [
        bag[torch.randperm(len(bag), generator=generator)]
        for bag in torch.split(batch.bags.patches, list(batch.bags.sizes))
    ]
    turned = Bags(tuple(shuffled), batch.bags.sizes, batch.bags.rows)
    before, after = model(batch), model(Batch(turned, batch.genes, batch.labels))
    for name in NETWORKS:
        torch.testing.assert_close(before[name].logits, after[name].logits, rtol=1e-6, atol=1e-9)


def test_a_bag_of_one_patch_is_its_patch() -> None:
    student = networks().student
    assert student is not None
    assert isinstance(student, ABMIL)
    single = bags({0: 1})
    hidden = student.patches(single.patches)
    torch.testing.assert_close(student(single).features, hidden)


def test_repeating_a_whole_bag_changes_nothing() -> None:
    student = networks().student
    assert student is not None
    once = bags({0: 4})
    thrice = Bags((once.patches.repeat(3, 1),), (12,), once.rows)
    torch.testing.assert_close(student(thrice).features, student(once).features, rtol=1e-6, atol=0)


def test_bags_are_pooled_by_their_own_softmax() -> None:
    scores = torch.tensor([0.3, -1.0, 2.0, 0.7, 50.0])
    hidden = torch.arange(10.0).reshape(5, 2)
    pooled = pool_bags(scores, hidden, [2, 1, 2])
    start = 0
    for row, size in zip(pooled, [2, 1, 2], strict=True):
        raised = [math.exp(float(score)) for score in scores[start : start + size]]
        mean = sum(
            weight / sum(raised) * patch
            for weight, patch in zip(raised, hidden[start : start + size], strict=True)
        )
        torch.testing.assert_close(row, mean)
        start += size


def test_attention_scores_are_gated() -> None:
    student = networks().student
    assert student is not None
    hidden = torch.randn(3, SMALL.width, dtype=torch.float64)
    assert isinstance(student, ABMIL)
    gate, score = student.attention.gate, student.attention.score
    half = SMALL.attention_width
    for row, found in zip(hidden, student.attention(hidden), strict=True):
        v, u = (
            gate.weight[part] @ row + gate.bias[part] for part in (slice(half), slice(half, None))
        )
        expected = score.weight @ (torch.tanh(v) * torch.sigmoid(u)) + score.bias
        torch.testing.assert_close(found, expected.squeeze())


# Tokens and blocks.


@pytest.mark.parametrize(("n_genes", "n_tokens"), [(1, 1), (15, 1), (16, 1), (17, 2), (40, 3)])
def test_tokens_hold_the_genes_in_order_and_then_zeros(n_genes: int, n_tokens: int) -> None:
    table = np.random.default_rng(0).standard_normal((3, n_genes)).astype(np.float32)
    tokens = to_tokens(table, TOKEN_SIZE)
    assert tokens.shape == (3, n_tokens, TOKEN_SIZE)
    flat = tokens.reshape(3, -1).numpy()
    np.testing.assert_array_equal(flat[:, :n_genes], table)
    assert (flat[:, n_genes:] == 0).all()


def test_no_patients_have_no_tokens() -> None:
    assert to_tokens(np.zeros((0, 20), np.float32), TOKEN_SIZE).shape == (0, 2, TOKEN_SIZE)


def test_a_lacking_block_is_as_if_its_tokens_had_never_been() -> None:
    tokens = {"mrna": 3, "cna": 2}
    both = networks(["mrna", "cna"])
    only = networks(["mrna"])
    kept = {name: value for name, value in both.state_dict().items() if ".cna." not in name}
    only.load_state_dict(kept)
    measured = genes(EVERYBODY, tokens, absent={"cna": [1, 3]})
    labels = torch.tensor([0, 1, 1, 0, 1])
    with_both = both(Batch(bags(SIZES), measured, labels))
    mrna = Genes(
        {"mrna": measured.tokens["mrna"]}, {"mrna": measured.present["mrna"]}, measured.rows
    )
    with_one = only(Batch(bags(SIZES), mrna, labels))
    for name in ("multimodal", "genomic"):
        for row in EVERYBODY:
            same = torch.allclose(
                with_both[name].logits[row], with_one[name].logits[row], rtol=1e-9
            )
            assert same == (row in (1, 3)), (name, row)


def test_what_lies_in_a_lacking_block_is_never_read() -> None:
    model = networks(["mrna", "cna"])
    measured = genes(EVERYBODY, {"mrna": 2, "cna": 2}, absent={"cna": EVERYBODY})
    labels = torch.tensor([0, 1, 1, 0, 1])
    before, found = train_once(model, Batch(bags(SIZES), measured, labels), looped=False)
    measured.tokens["cna"].fill_(1e6)
    after, _ = train_once(model, Batch(bags(SIZES), measured, labels), looped=False)
    for name in NETWORKS:
        assert torch.equal(before[name].logits, after[name].logits)
    of_block = [gradient for name, gradient in found.items() if ".cna." in name]
    assert of_block
    assert all((gradient == 0).all() for gradient in of_block)


def test_tokens_are_pooled_over_those_that_count() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]])
    hidden = torch.tensor([[1.0], [10.0], [100.0]]).expand(2, 3, 1)
    mask = torch.tensor([[True, True, True], [False, True, False]])
    pooled = pool_tokens(scores, hidden, mask)
    weights = torch.softmax(scores[0], 0)
    assert pooled[0].item() == pytest.approx(float(weights @ torch.tensor([1.0, 10.0, 100.0])))
    assert pooled[1].item() == 10


def test_the_order_of_tokens_means_nothing() -> None:
    """As in the paper: a token carries no identity."""
    genomic = networks().genomic
    assert genomic is not None
    straight = genes([0, 1])
    turned = Genes({"mrna": straight.tokens["mrna"].flip(1)}, straight.present, straight.rows)
    torch.testing.assert_close(genomic(turned).logits, genomic(straight).logits)


# Fusion, sizes and initial weights.


def test_bilinear_product_is_that_of_pytorch() -> None:
    torch.manual_seed(0)
    theirs = nn.Bilinear(5, 7, 3).double()
    ours = BilinearProduct(5, 7, 3).double()
    ours.load_state_dict(theirs.state_dict())
    found = []
    for product in (theirs, ours):
        a = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5).requires_grad_()
        b = torch.linspace(1, -2, 28, dtype=torch.float64).reshape(4, 7).requires_grad_()
        answer = product(a, b)
        answer.square().sum().backward()
        found.append([answer, a.grad, b.grad, product.weight.grad, product.bias.grad])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_both_modalities_reach_the_fused_features(batch: Batch) -> None:
    for fusion in ("bilinear", "concat"):
        model = networks(settings=SMALL.model_copy(update={"fusion": fusion}))
        before = model(batch)["multimodal"].logits
        other_bags = Batch(bags(SIZES, seed=9), batch.genes, batch.labels)
        other_genes = Batch(batch.bags, genes(EVERYBODY, seed=9), batch.labels)
        for changed in (other_bags, other_genes):
            assert (model(changed)["multimodal"].logits - before).abs().min() > 1e-9


def test_default_sizes_are_the_papers() -> None:
    model = Networks(1024, {"mrna": 16}, 2, NetworkSettings())
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    assert shapes["student.patches.0.weight"] == (256, 1024)
    assert shapes["student.attention.gate.weight"] == (2 * 128, 256)
    assert shapes["genomic.tokens.blocks.mrna.weight"] == (256, 512)
    assert shapes["multimodal.fusion.path.gate.weight"] == (32, 256, 256)
    assert shapes["multimodal.fusion.product.0.weight"] == (256, 33 * 33)
    assert shapes["multimodal.fusion.joint.0.weight"] == (256, 768)
    for name in NETWORKS:
        classifier = [s for n, s in shapes.items() if n.startswith(f"{name}.classifier")]
        assert classifier == [(2, 256), (2,)]


def test_initial_weights_are_self_normalising_but_for_the_multimodal_teacher() -> None:
    torch.manual_seed(0)
    model = Networks(1024, {"mrna": 16}, 2, NetworkSettings())
    for name in ("student", "genomic"):
        for module in model.get_submodule(name).modules():
            if isinstance(module, nn.Linear):
                assert (module.bias == 0).all()
                spread = module.weight.detach().std().item() * math.sqrt(module.in_features)
                assert spread == pytest.approx(1, abs=4 / math.sqrt(module.weight.numel()))
    layer = model.get_parameter("multimodal.patches.0.weight")
    bound = 1 / math.sqrt(1024)
    assert 0.99 * bound < layer.abs().max().item() <= bound


def test_dropout_acts_in_training_alone(batch: Batch) -> None:
    model = networks(settings=SMALL.model_copy(update={"dropout": 0.5}))
    model.train()
    assert not torch.equal(model(batch)["student"].logits, model(batch)["student"].logits)
    model.eval()
    for name in NETWORKS:
        assert torch.equal(model(batch)[name].logits, model(batch)[name].logits)


def test_networks_are_built_again_from_their_description(batch: Batch) -> None:
    model = networks(["mrna"], 3, SMALL.model_copy(update={"fusion": "concat"}))
    again = Networks.from_architecture(model.architecture()).double()
    again.load_state_dict(model.state_dict())
    for name in NETWORKS:
        assert torch.equal(again(batch)[name].logits, model(batch)[name].logits)


def test_slides_need_a_width() -> None:
    with pytest.raises(ValueError, match="reads slides needs the width of the patch features"):
        Networks(None, {"mrna": 16}, 2, SMALL)
    genomic = SMALL.model_copy(update={"networks": ("genomic",)})
    assert Networks(None, {"mrna": 16}, 2, genomic).student is None


def test_width_of_the_features_is_free() -> None:
    for width in (1, WIDTH, 17):
        student = Networks(width, {}, 2, SMALL.model_copy(update={"networks": ("student",)}))
        answer = student(
            Batch(Bags((torch.randn(4, width),), (4,), torch.tensor([0])), None, torch.tensor([1]))
        )
        assert answer["student"].logits.shape == (1, 2)


class Halved(ABMIL):
    """A student that answers otherwise than its parent."""

    def forward(self, bags: Bags, labels: Tensor | None = None) -> Output:
        output = super().forward(bags, labels)
        return replace(output, logits=output.logits / 2)


def test_a_subclass_with_a_forward_of_its_own_is_asked_by_it() -> None:
    """Beside a teacher that could pool the patches together with its parent's."""
    model = networks().double().eval()
    batch = Batch(bags({0: 3, 1: 5}), genes([0, 1]), torch.tensor([0, 1]))
    before = model(batch)
    assert isinstance(model.student, ABMIL)
    model.student.__class__ = Halved
    after = model(batch)
    torch.testing.assert_close(after["student"].logits, before["student"].logits / 2)
    torch.testing.assert_close(after["multimodal"].logits, before["multimodal"].logits)


def test_a_subclass_may_declare_that_it_shares_the_pass() -> None:
    declared = STUDENTS.declare("halved", pooled_together=True)(type("Own", (Halved,), {}))
    assert STUDENTS.facts_of(declared).pooled_together
    assert not STUDENTS.facts_of(Halved).pooled_together
    assert not STUDENTS.facts_of(Halved).stackable
