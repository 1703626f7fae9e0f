"""The steps of a block, plain and compiled, against float64."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from histodistill.model import Bags
from histodistill.model.layers.attention import GatedAttention
from histodistill.model.pooling import blocks
from histodistill.model.pooling import towers as pooling
from histodistill.model.pooling.kernels import KernelSteps, steps_for
from histodistill.model.pooling.random_bits import made_of, plainly_made_of
from histodistill.model.pooling.steps import Bits, PatchSteps
from histodistill.model.pooling.towers import Tower, pool_patches

CPU = torch.device("cpu")
TYPES = (torch.float32, torch.bfloat16)
# The longest distance from float64 that is allowed, as a share of the largest value.
NEAR = {torch.float32: 2e-6, torch.bfloat16: 2e-2}
SIZES = (1, 40, 3, 90, 33)


@pytest.fixture(params=["plain", "compiled"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which steps ``pool_patches`` takes."""
    chosen: str = request.param
    if chosen == "compiled":
        kernels(torch.float32)
    else:
        monkeypatch.setattr(pooling, "steps_for", lambda *_: PatchSteps())
    return chosen


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def kernels(dtype: torch.dtype) -> KernelSteps:
    steps = steps_for(torch.float32, dtype, CPU)
    if not isinstance(steps, KernelSteps):
        pytest.skip("no C++ compiler")
    return steps


class Reader(nn.Module):
    """A network that reads patches, as its tower and layer by layer."""

    def __init__(self, features: int, width: int, attention_width: int, dropout: float) -> None:
        super().__init__()
        self.patches = nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout))
        self.attention = GatedAttention(width, attention_width)

    def tower(self) -> Tower:
        return Tower.of(self.patches, self.attention)

    def pool(self, patches: Tensor, sizes: Sequence[int]) -> Tensor:
        hidden = self.patches(patches)
        scores = torch.split(self.attention(hidden), list(sizes))
        parts = zip(scores, torch.split(hidden, list(sizes)), strict=True)
        return torch.stack([torch.softmax(s, dim=0) @ h for s, h in parts])


def readers(dropout: float = 0.0) -> list[Reader]:
    """Two networks of different sizes, some of them odd."""
    torch.manual_seed(0)
    return [Reader(20, 37, 9, dropout), Reader(20, 64, 16, dropout)]


def bags(sizes: Sequence[int] = SIZES) -> Bags:
    generator = torch.Generator().manual_seed(1)
    stored = torch.randn(sum(sizes), 20, generator=generator).half()
    return Bags((stored,), tuple(sizes), torch.arange(len(sizes)))


def pooled_and_gradients(
    networks: Sequence[Reader], dtype: torch.dtype
) -> tuple[list[Tensor], list[Tensor]]:
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        pooled = pool_patches(bags(), [network.tower() for network in networks])
    return list(pooled), gradients_of(pooled, networks)


def gradients_of(pooled: Sequence[Tensor], networks: Sequence[Reader]) -> list[Tensor]:
    """Gradients of the pooled bags in an arbitrary direction."""
    generator = torch.Generator().manual_seed(2)
    directions = [torch.randn(p.shape, generator=generator).to(p.dtype) for p in pooled]
    loss = sum((p * d).sum() for p, d in zip(pooled, directions, strict=True))
    assert isinstance(loss, Tensor)
    names = [p for network in networks for p in network.parameters()]
    return list(torch.autograd.grad(loss, names))


def assert_near(values: Sequence[Tensor], expected: Sequence[Tensor], dtype: torch.dtype) -> None:
    for value, exact in zip(values, expected, strict=True):
        scale = max(exact.abs().max().item(), 1.0)
        torch.testing.assert_close(value.double(), exact, rtol=0, atol=NEAR[dtype] * scale)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rows", [1, 7, 32, 64, 1000])
def test_the_pass_comes_as_near_as_its_type_allows(
    rows: int, dtype: torch.dtype, kind: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "CPU_ROWS", rows)
    monkeypatch.setattr(blocks, "NARROW", 1)
    networks = readers()
    pooled, gradients = pooled_and_gradients(networks, dtype)
    doubles = [network.double() for network in networks]
    expected = [network.pool(bags().stored.double(), SIZES) for network in doubles]
    assert_near(pooled, expected, dtype)
    assert_near(gradients, gradients_of(expected, doubles), dtype)


def test_a_gradient_may_be_a_view(kind: str) -> None:
    """That of a mean is one number, seen everywhere."""
    networks = readers()[:1]
    (pooled,) = pool_patches(bags(), [networks[0].tower()])
    gradients = torch.autograd.grad(pooled.mean(), list(networks[0].parameters()))
    doubles = [networks[0].double()]
    expected = doubles[0].pool(bags().stored.double(), SIZES).mean()
    assert_near(
        gradients, torch.autograd.grad(expected, list(doubles[0].parameters())), torch.float32
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_a_step_can_be_repeated_to_the_last_bit(
    dtype: torch.dtype, kind: str, threads: int
) -> None:
    networks = readers(0.25)
    torch.manual_seed(3)
    first = pooled_and_gradients(networks, dtype)
    torch.manual_seed(3)
    again = pooled_and_gradients(networks, dtype)
    for ours, theirs in zip(first, again, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("rate", [0.1, 0.25])
def test_compiled_steps_drop_what_plain_ones_drop(rate: float, dtype: torch.dtype) -> None:
    shape, patches = (50, 33), torch.rand(50, 12).to(dtype)
    weights = Reader(12, 33, 4, rate).tower().weights
    weights.layer.data.abs_()
    weights.layer_bias.data.abs_()
    dropped = []
    for steps in (kernels(dtype), PatchSteps()):
        torch.manual_seed(4)
        out = torch.empty(shape, dtype=dtype)
        bits = Bits.draw(out, rate)
        with torch.no_grad():
            steps.hide(patches, steps.prepared(weights, dtype), bits, out)
        dropped.append(out == 0)
    assert torch.equal(*dropped)
    assert dropped[0].float().mean().item() == pytest.approx(rate, abs=0.03)


@pytest.mark.parametrize("rate", [0.1, 0.25, 0.5, 0.7])
def test_bits_drop_the_given_share(rate: float) -> None:
    torch.manual_seed(5)
    bits = Bits.draw(torch.empty(1001, 999), rate)
    assert (bits.drawn < bits.lowest_kept).double().mean().item() == pytest.approx(rate, abs=2e-3)
    assert bits.drawn.dtype is (torch.int8 if rate in (0.25, 0.5) else torch.int16)
    # No bit of a value tells of its neighbour's.
    neighbours = torch.corrcoef(bits.drawn[:, :900].double().view(2, -1))
    assert abs(neighbours[0, 1].item()) < 0.01


def test_random_bits_are_splitmix64s(threads: int) -> None:
    """The numbers of its authors' program, seeded with 1234567; it adds the step beforehand."""
    first = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
    seed = 1234567 + 0x9E3779B97F4A7C15 - 2**64
    for numbers in (made_of(seed, 1000), plainly_made_of(seed, 1000)):
        assert [number % 2**64 for number in numbers[:4].tolist()] == list(first)
    assert torch.equal(made_of(seed, 1000), plainly_made_of(seed, 1000))


@pytest.mark.parametrize("dtype", TYPES)
def test_every_float16_is_widened_as_pytorch_does(dtype: torch.dtype) -> None:
    stored = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.float16)
    # A width that is no multiple of a vector's.
    for width in (2**8, 2**16 // 23):
        part = stored[: len(stored) // width * width].view(-1, width)
        out = torch.empty(part.shape, dtype=dtype)
        kernels(dtype).widen(part, None, out)
        assert torch.equal(out.isnan(), part.isnan())
        torch.testing.assert_close(out, part.to(dtype), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", TYPES)
def test_the_mean_is_taken_off_before_rounding(dtype: torch.dtype) -> None:
    stored, mean = torch.tensor([[1001.0, -3.0]]).half(), torch.tensor([1000.0, 0.001])
    out = torch.empty(1, 2, dtype=dtype)
    kernels(dtype).widen(stored, mean, out)
    assert torch.equal(out, (stored.float() - mean).to(dtype))


def test_tanh_is_float32s_to_a_few_units_in_the_last_place() -> None:
    values = torch.cat([torch.linspace(-20, 20, 40_001), 10 ** torch.linspace(-30, 0, 3001)])
    gates = torch.stack([values, -values], dim=1)
    expected = gates.double().tanh()
    weights = (
        Reader(1, 1, 1, 0.0)
        .tower()
        .weights._replace(gate=torch.zeros(2, 1), gate_bias=torch.zeros(2), score=torch.ones(1))
    )
    # The product is with zeros, so that the bias is all that the gate sees.
    scores = torch.empty(1)
    steps = kernels(torch.float32)
    for start in range(0, len(values), 5000):
        bias = gates[start : start + 5000]
        width = len(bias)
        wide = weights._replace(
            gate=torch.zeros(2 * width, 1),
            gate_bias=bias.T.reshape(-1),
            score=torch.ones(width),
            score_bias=torch.zeros(1),
        )
        out = torch.empty(1, 2 * width)
        steps.score(torch.zeros(1, 1), wide, out, scores)
        exact = expected[start : start + 5000].T.reshape(1, -1)
        assert ((out.double() - exact).abs() <= 4 * 2.0**-23 * exact.abs()).all()


@pytest.mark.parametrize("shape", [(1, 2), (31, 6), (32, 64), (70, 5), (100, 64)])
def test_products_of_turned_rows(shape: tuple[int, int], threads: int) -> None:
    torch.manual_seed(6)
    lefts = [torch.randn(shape).bfloat16(), torch.randn(shape[0], 4).bfloat16()]
    right = torch.randn(shape[0], 10).bfloat16()
    totals = [torch.ones(left.shape[1], 10) for left in lefts]
    kernels(torch.bfloat16).add_products(totals, lefts, right)
    for total, left in zip(totals, lefts, strict=True):
        torch.testing.assert_close(total, 1 + (left.T @ right).float(), rtol=1e-2, atol=1e-2)


def test_other_types_take_plain_steps() -> None:
    for weights, products in ((torch.float64, torch.float64), (torch.float32, torch.float16)):
        assert type(steps_for(weights, products, CPU)) is PatchSteps
    assert type(steps_for(torch.float32, torch.float32, torch.device("meta"))) is PatchSteps
