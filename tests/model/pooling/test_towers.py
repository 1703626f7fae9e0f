"""The blocked pass against the layers written down one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from histodistill.features import FeatureScaler
from histodistill.model import (
    Bags,
    Batch,
    Networks,
    NetworkSettings,
)
from histodistill.model.layers.attention import GatedAttention, pool_bags
from histodistill.model.pooling import blocks
from histodistill.model.pooling.towers import Tower, pool_patches
from histodistill.model.students.abmil import ABMIL
from histodistill.model.teachers.multimodal.mkd import MKDTeacher
from tests.model import batches

WIDTH = 6
# One patch alone, bags within a block, over two blocks, over many, ending where a block ends.
SIZES = (1, 3, 1, 6, 14, 5, 2)
BLOCK = 5


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CPU_ROWS", BLOCK)


class Reader(nn.Module):
    """What a network does to patches, layer by layer."""

    def __init__(self, width: int, attention_width: int, dropout: float = 0.0) -> None:
        super().__init__()
        layers = [nn.Linear(WIDTH, width), nn.ReLU()]
        self.patches = nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))
        self.attention = GatedAttention(width, attention_width)

    def tower(self) -> Tower:
        return Tower.of(self.patches, self.attention)

    def pool(self, bags: Bags) -> Tensor:
        hidden = self.patches(bags.patches)
        scores = torch.split(self.attention(hidden), list(bags.sizes))
        parts = zip(scores, torch.split(hidden, list(bags.sizes)), strict=True)
        return torch.stack([torch.softmax(s, dim=0) @ h for s, h in parts])


def readers(dtype: torch.dtype = torch.float64) -> list[Reader]:
    """Two networks of different sizes."""
    torch.manual_seed(0)
    return [Reader(8, 4).to(dtype), Reader(5, 3).to(dtype)]


def drawn(sizes: Sequence[int] = SIZES, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(sum(sizes), WIDTH, generator=generator, dtype=torch.float64).to(dtype)


def as_bags(
    patches: Tensor, sizes: Sequence[int] = SIZES, scaler: FeatureScaler | None = None
) -> Bags:
    return Bags((patches,), tuple(sizes), torch.arange(len(sizes)), scaler)


def parameters(networks: Sequence[nn.Module]) -> list[nn.Parameter]:
    return [parameter for network in networks for parameter in network.parameters()]


def gradients_of(pooled: Sequence[Tensor], networks: Sequence[nn.Module]) -> tuple[Tensor, ...]:
    """Gradients of an arbitrary function of the pooled bags."""
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator).to(p.dtype) for p in pooled]
    loss = sum((p.square() * d).sum() for p, d in zip(pooled, directions, strict=True))
    assert isinstance(loss, Tensor)
    return torch.autograd.grad(loss, parameters(networks))


@pytest.mark.parametrize("rows", [1, 2, BLOCK, 1000])
def test_it_equals_the_layers_one_by_one(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "CPU_ROWS", rows)
    networks, bags = readers(), as_bags(drawn())
    pooled = pool_patches(bags, [network.tower() for network in networks])
    expected = [network.pool(bags) for network in networks]
    torch.testing.assert_close(list(pooled), expected)
    torch.testing.assert_close(gradients_of(pooled, networks), gradients_of(expected, networks))


@pytest.mark.parametrize("cuts", [SIZES, (7, 2, 16, 7), (1,) * sum(SIZES)])
@pytest.mark.parametrize("stored", [torch.float64, torch.float16])
def test_it_does_not_matter_in_which_parts_bags_lie(
    cuts: tuple[int, ...], stored: torch.dtype
) -> None:
    networks, joined = readers(), as_bags(drawn(dtype=stored))
    cut = replace(joined, parts=torch.split(joined.stored, list(cuts)))
    towers = [network.tower() for network in networks]
    assert torch.equal(
        torch.cat(pool_patches(cut, towers), 1), torch.cat(pool_patches(joined, towers), 1)
    )
    assert "stored" not in vars(cut)  # they were not joined
    for ours, theirs in zip(cut.split_stored(), joined.split_stored(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("sizes", [(1,), (1, 1, 1), (13,), SIZES])
def test_gradients_are_those_of_finite_differences(sizes: tuple[int, ...]) -> None:
    networks, bags = readers(), as_bags(drawn(sizes), sizes)

    def pooled(*_: Tensor) -> tuple[Tensor, ...]:
        return pool_patches(bags, [network.tower() for network in networks])

    assert torch.autograd.gradcheck(pooled, parameters(networks))


def test_without_gradients_the_answer_is_the_same() -> None:
    networks, bags = readers(), as_bags(drawn())
    towers = [network.tower() for network in networks]
    trained = pool_patches(bags, towers)
    with torch.no_grad():
        answered = pool_patches(bags, towers)
    assert not any(value.requires_grad for value in answered)
    for ours, theirs in zip(answered, trained, strict=True):
        assert torch.equal(ours, theirs)


def test_networks_do_not_see_each_other() -> None:
    networks, bags = readers(), as_bags(drawn())
    together = pool_patches(bags, [network.tower() for network in networks])
    for network, shared in zip(networks, together, strict=True):
        (alone,) = pool_patches(bags, [network.tower()])
        assert torch.equal(alone, shared)


def test_it_can_be_walked_backward_twice() -> None:
    networks, bags = readers(), as_bags(drawn())
    (pooled,) = pool_patches(bags, [networks[0].tower()])
    loss = pooled.square().sum()
    own = parameters(networks[:1])
    first = torch.autograd.grad(loss, own, retain_graph=True)
    again = torch.autograd.grad(loss, own)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)


def test_stored_float16_is_standardised_on_the_way() -> None:
    scaler = FeatureScaler(torch.linspace(-2, 2, WIDTH), torch.linspace(0.5, 3, WIDTH))
    networks = readers(torch.float32)
    bags = as_bags(drawn(dtype=torch.float16), scaler=scaler)
    pooled = pool_patches(bags, [network.tower() for network in networks])
    assert "patches" not in vars(bags)  # the wider copy was never made
    expected = [network.pool(bags) for network in networks]
    torch.testing.assert_close(list(pooled), expected)
    torch.testing.assert_close(gradients_of(pooled, networks), gradients_of(expected, networks))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_features_far_from_zero_keep_their_digits(precision: str) -> None:
    """A feature of 10,000 +- 1, and a constant one, beside ordinary ones."""
    centred = drawn().float()
    centred[:, 0] = 0
    mean = torch.zeros(WIDTH)
    mean[0], mean[1] = 3000.0, 10_000.0
    scaler = FeatureScaler(mean, torch.ones(WIDTH))
    (network, _) = readers(torch.float32)
    plain = as_bags((centred + mean) - mean)
    far = as_bags(centred + mean, scaler=scaler)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        (ours,) = pool_patches(far, [network.tower()])
        (expected,) = pool_patches(plain, [network.tower()])
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
    for gradient, theirs in zip(
        gradients_of([ours], [network]), gradients_of([expected], [network]), strict=True
    ):
        torch.testing.assert_close(gradient, theirs, rtol=1e-3, atol=1e-4)
    # The stored patches are as they were: they may be the store's own.
    assert torch.equal(torch.cat(far.parts), centred + mean)


def test_bfloat16_comes_close() -> None:
    networks, bags = readers(torch.float32), as_bags(drawn(dtype=torch.float32))
    towers = [network.tower() for network in networks]
    with torch.autocast("cpu", torch.bfloat16):
        reduced = pool_patches(bags, towers)
    exact = pool_patches(bags, towers)
    assert all(value.dtype is torch.float32 for value in reduced)
    torch.testing.assert_close(reduced, exact, rtol=0.03, atol=0.03)
    assert not torch.equal(reduced[0], exact[0])
    for ours, theirs in zip(
        gradients_of(reduced, networks), gradients_of(exact, networks), strict=True
    ):
        assert ours.dtype is torch.float32
        torch.testing.assert_close(
            ours, theirs, rtol=0.1, atol=0.01 + 0.05 * theirs.abs().max().item()
        )


def test_large_scores_do_not_overflow() -> None:
    (network, _) = readers(torch.float32)
    with torch.no_grad():
        network.attention.score.weight.mul_(1e4)
    bags = as_bags(drawn(dtype=torch.float32))
    (pooled,) = pool_patches(bags, [network.tower()])
    torch.testing.assert_close(pooled, network.pool(bags), rtol=1e-3, atol=1e-4)
    assert all(value.isfinite().all() for value in gradients_of([pooled], [network]))


class TestDropout:
    def pooled(self, network: Reader, patches: int) -> Tensor:
        """Mean hidden patch of one large bag: the attention is flat."""
        with torch.no_grad():
            network.attention.score.weight.zero_()
        return pool_patches(as_bags(drawn((patches,)), (patches,)), [network.tower()])[0]

    @pytest.mark.parametrize("rate", [0.1, 0.25, 0.7])
    def test_it_leaves_the_mean_as_it_is(
        self, rate: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(blocks, "CPU_ROWS", 1000)
        torch.manual_seed(3)
        network = Reader(8, 4, rate).double()
        dropped = self.pooled(network, 40_000)
        kept = self.pooled(network.eval(), 40_000)
        assert not torch.equal(dropped, kept)
        torch.testing.assert_close(dropped, kept, rtol=0.04, atol=0.01)

    def test_the_share_is_the_given_one(self) -> None:
        torch.manual_seed(4)
        network = Reader(1, 1, 0.3).double()
        layer = network.patches[0]
        assert isinstance(layer, nn.Linear)
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.fill_(0.7)
            network.attention.score.weight.zero_()
        sizes = (1,) * 20_000
        (pooled,) = pool_patches(as_bags(drawn(sizes), sizes), [network.tower()])
        share = float((pooled == 0).double().mean())
        assert share == pytest.approx(0.3, abs=0.015)
        assert pooled.max().item() == pytest.approx(1)

    def test_gradients_know_what_was_dropped(self) -> None:
        network = Reader(4, 3, 0.4).double()
        bags = as_bags(drawn())

        def pooled(*_: Tensor) -> tuple[Tensor, ...]:
            torch.manual_seed(5)
            return pool_patches(bags, [network.tower()])

        assert torch.autograd.gradcheck(pooled, parameters([network]))

    def test_the_seed_decides(self) -> None:
        network = Reader(8, 4, 0.25).double()
        draw = partial(self.pooled, network, 30)
        answers = []
        for seed in (6, 6, 7):
            torch.manual_seed(seed)
            answers.append(draw())
        assert torch.equal(answers[0], answers[1])
        assert not torch.equal(answers[0], answers[2])


def test_patches_that_require_a_gradient_get_it() -> None:
    patches, (reader, *_) = drawn().requires_grad_(), readers()
    (pooled,) = pool_patches(as_bags(patches), [reader.tower()])
    (usual,) = pool_patches(as_bags(patches.detach()), [reader.tower()])
    torch.testing.assert_close(pooled, usual)
    (slope,) = torch.autograd.grad(pooled.sum(), patches)
    assert slope.abs().sum() > 0


class TestNetworks:
    def batch(self) -> Batch:
        sizes = {0: 3, 1: 1, 2: 12, 4: 6}
        genes = batches.genes([1, 2, 3, 4])
        return Batch(batches.bags(sizes), genes, torch.tensor([0, 1, 0, 1, -1]))

    def test_together_equals_apart(self) -> None:
        """Student and teacher in one pass, and each in its own; patients who lack something."""
        networks, batch = batches.networks(), self.batch()
        together = networks(batch)
        assert isinstance(networks.student, ABMIL)
        assert isinstance(networks.multimodal, MKDTeacher)
        assert batch.bags is not None
        assert batch.genes is not None
        apart = {
            "student": networks.student(batch.bags),
            "multimodal": networks.multimodal(batch.bags, batch.genes),
        }
        for name, output in apart.items():
            assert torch.equal(together[name].rows, output.rows)
            torch.testing.assert_close(together[name].features, output.features)
            torch.testing.assert_close(together[name].logits, output.logits)

    def test_the_reference_pools_alike(self) -> None:
        networks, batch = batches.networks(), self.batch()
        assert isinstance(networks.student, ABMIL)
        assert batch.bags is not None
        hidden = networks.student.patches(batch.bags.patches)
        pooled = pool_bags(networks.student.attention(hidden), hidden, batch.bags.sizes)
        # pool_bags takes its softmax in float32.
        torch.testing.assert_close(
            pooled, networks(batch)["student"].features, rtol=1e-5, atol=1e-6
        )

    def test_the_largest_tensor_without_gradients_is_a_block(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[int] = []
        empty = blocks.PatchBlocks.empty

        def counted(
            own: blocks.PatchBlocks, *shape: int, dtype: torch.dtype | None = None
        ) -> Tensor:
            made.append(shape[0])
            return empty(own, *shape, dtype=dtype)

        monkeypatch.setattr(blocks.PatchBlocks, "empty", counted)
        torch.manual_seed(0)
        networks = Networks(WIDTH, {}, 2, NetworkSettings(networks=("student",), width=8))
        batch = Batch(as_bags(drawn((500,), torch.float32), (500,)), None, torch.tensor([0]))
        with torch.inference_mode():
            networks.eval()(batch)
        assert max(made) == BLOCK
        made.clear()
        networks(batch)
        assert max(made) == 500
