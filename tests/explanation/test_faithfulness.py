"""Curves, certificates and contributions against plain loops."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor, nn

from histodistill.explanation.certificate import certify
from histodistill.explanation.contributions import (
    average,
    left_out_contributions,
    path_contributions,
    pooled_contributions,
)
from histodistill.explanation.faithfulness import faithfulness
from histodistill.explanation.removal import AskedRemoval, PooledRemoval, removal_of
from histodistill.explanation.tissue_blocks import tissue_blocks
from histodistill.model.pooling.parts import PooledParts


def parts(
    n: int = 40, d: int = 6, classes: int = 2, branches: int = 1, seed: int = 0
) -> PooledParts:
    torch.manual_seed(seed)
    layer = nn.Linear(d * branches, classes)
    scores = torch.randn(n, branches) * 2
    return PooledParts(
        scores,
        torch.rand(n, d),
        lambda p: layer(p.flatten(1)).detach() if not p.requires_grad else layer(p.flatten(1)),
        linear=True,
    )


def asked(bag: PooledParts) -> AskedRemoval:
    def answer(kept: np.ndarray) -> np.ndarray:
        left = PooledParts(bag.scores[kept], bag.hidden[kept], bag.head, linear=True)
        return left.logits().numpy()

    return AskedRemoval(answer, len(bag.hidden), 2)


@pytest.mark.parametrize("branches", [1, 2])
def test_cumulative_sums_are_what_asking_again_would_say(branches: int) -> None:
    bag = parts(branches=branches)
    rng = np.random.default_rng(1)
    group, block = rng.integers(0, 7, 40), rng.integers(0, 3, 40)
    slow = asked(bag).curves(group, block, 7, 3)
    for fast in (removal_of(bag), PooledRemoval(bag)):
        for own, expected in zip(fast.curves(group, block, 7, 3), slow, strict=True):
            np.testing.assert_allclose(own, expected, atol=2e-6)


def test_where_nothing_is_left_there_is_no_answer() -> None:
    bag, one_block = parts(), np.zeros(40, dtype=np.int64)
    for removal in (removal_of(bag), PooledRemoval(bag), asked(bag)):
        for answers in removal.curves(one_block, one_block, 1, 1):
            assert np.isnan(answers[0]).all()
            np.testing.assert_allclose(answers[1, 0], bag.logits().numpy(), atol=1e-5)


def test_the_gain_is_that_of_a_plain_loop() -> None:
    bag = parts()
    support = pooled_contributions(bag).support(1)
    found = faithfulness([removal_of(bag)], support, 1, np.zeros(40, dtype=np.int64), 40)

    def curve(order: np.ndarray) -> float:
        answer = asked(bag)._answer
        return float(np.mean([softmax(answer(np.sort(order[k:])))[1] for k in range(40)]))

    expected = curve(np.argsort(support)) - curve(np.argsort(-support))
    assert found.srg == pytest.approx(expected, abs=1e-6)
    assert np.isnan(found.low)  # one block alone says nothing of uncertainty


def test_shares_and_constant_add_up_to_the_logits() -> None:
    for branches in (1, 2):
        bag = parts(branches=branches)
        found = pooled_contributions(bag)
        np.testing.assert_allclose(found.logits, bag.logits().numpy(), atol=1e-5)
        assert found.way == "exact"


def test_a_head_that_is_not_linear_is_complete_within_one_percent() -> None:
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    bag = PooledParts(torch.randn(30, 1), torch.rand(30, 6), head, linear=False)
    found = pooled_contributions(bag)
    logits = bag.logits().detach().numpy()
    scale = np.abs(logits - found.constant).max()
    np.testing.assert_allclose(found.logits, logits, atol=0.01 * scale)
    assert found.way == "integrated gradients"


def test_integrated_gradients_of_a_whole_network_are_complete() -> None:
    torch.manual_seed(0)
    layer, score, classify = nn.Linear(5, 8), nn.Linear(8, 1), nn.Linear(8, 3)

    def answer(bag: Tensor) -> Tensor:
        hidden = torch.tanh(layer(bag))
        logits: Tensor = classify(torch.softmax(score(hidden)[:, 0], dim=0) @ hidden)
        return logits

    bag = torch.randn(20, 5)
    found = path_contributions(answer, bag)
    assert found is not None
    logits = answer(bag).detach().numpy()
    scale = np.abs(logits - found.constant).max()
    np.testing.assert_allclose(found.logits, logits, atol=0.01 * scale)


def test_an_ensemble_averages_its_members() -> None:
    bags = [parts(seed=seed) for seed in range(3)]
    found = average([pooled_contributions(bag) for bag in bags])
    expected = np.mean([bag.logits().numpy() for bag in bags], axis=0)
    np.testing.assert_allclose(found.logits, expected, atol=1e-5)


def bag_with_signal(strength: float, noise: float = 0.1) -> PooledParts:
    """A quarter of the tissue speaks for the class, all of it equally loud."""
    torch.manual_seed(0)
    hidden = torch.rand(400, 2) * noise
    hidden[:100, 1] += strength
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 8.0]])
    return PooledParts(torch.zeros(400, 1), hidden, lambda p: layer(p.flatten(1)), linear=True)


def certificate_of(bag: PooledParts, support: np.ndarray):
    coords = np.stack([np.arange(400) % 20, np.arange(400) // 20], axis=1).astype(float)
    called = int(bag.logits().argmax())
    attention = bag.weights[:, 0].numpy()
    return certify([removal_of(bag)], support, attention, called, 1, 0.5, tissue_blocks(coords))


def test_a_true_map_is_certified_and_a_random_one_is_not() -> None:
    bag = bag_with_signal(1.0)
    true = certificate_of(bag, pooled_contributions(bag).support(1))
    assert true.regional
    assert true.sentence.startswith("faithful")
    noise = certificate_of(bag, np.random.default_rng(0).random(400))
    assert not noise.regional
    assert noise.sentence.startswith("no regional evidence")


def test_a_bag_of_equal_patches_shows_nothing() -> None:
    bag = bag_with_signal(0.0, noise=0.01)
    found = certificate_of(bag, pooled_contributions(bag).support(1))
    assert not found.regional
    assert "hardly moves the answer" in found.sentence


def test_sufficient_and_necessary_patches() -> None:
    bag = bag_with_signal(1.0)
    support = pooled_contributions(bag).support(1)
    found = certificate_of(bag, support)
    assert found.sufficient == 1
    order = np.argsort(-support, kind="stable")

    def called(kept: np.ndarray) -> int:
        left = PooledParts(bag.scores[kept], bag.hidden[kept], bag.head, linear=True)
        return int(left.logits().argmax())

    exact = next(k for k in range(400) if called(order[k:]) == 0)
    assert found.necessary is not None
    assert exact <= found.necessary <= exact * 1.05


def test_blocks_are_neighbours_of_nearly_equal_size() -> None:
    rng = np.random.default_rng(0)
    coords = rng.random((1000, 2)) * [4, 1]
    block = tissue_blocks(coords, 16)
    sizes = np.bincount(block)
    assert len(sizes) == 16
    assert sizes.min() >= 62
    assert sizes.max() <= 63
    spread = np.mean([np.ptp(coords[block == b], axis=0).max() for b in range(16)])
    assert spread < 1
    assert len(np.unique(tissue_blocks(coords[:3], 16))) <= 3


def test_a_network_that_jumps_is_explained_by_leaving_out() -> None:
    values = np.array([1.0, 5.0, 2.0, 3.0])

    def answer(kept: np.ndarray) -> np.ndarray:
        return np.array([0.0, values[kept].max()])

    found = left_out_contributions(answer, np.arange(4))
    assert found.shares[:, 1].tolist() == [0, 2, 0, 0]
    assert found.logits.tolist() == [0, 5]
    grouped = left_out_contributions(answer, np.array([0, 1, 1, 0]))
    assert grouped.shares[:, 1].tolist() == [0, 1, 1, 0]

    jumping = path_contributions(
        lambda bag: torch.stack([bag.sum(), (bag > 0.5).sum() + 0 * bag.sum()]), torch.ones(3, 2)
    )
    assert jumping is None
