"""Who is drawn in an epoch, and how often."""

from __future__ import annotations

import pytest
import torch

from histodistill.training.loop.sampling import batches, epoch_order, sampling_weights
from histodistill.training.loop.seeds import derived_seed

# 24 of class 0, 6 of class 1, 3 of class 2, 7 unknown.
LABELS = torch.tensor([0] * 24 + [1] * 6 + [2] * 3 + [-1] * 7)[
    torch.randperm(40, generator=torch.Generator().manual_seed(0))
]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def order_of(balanced: bool, stream: torch.Generator) -> torch.Tensor:
    return epoch_order(len(LABELS), sampling_weights(LABELS) if balanced else None, stream)


def test_classes_share_the_labelled_weight_equally() -> None:
    weights = sampling_weights(LABELS)
    by_class = [weights[label == LABELS].sum().item() for label in range(3)]
    assert by_class == pytest.approx([11, 11, 11])  # 33 labelled patients
    assert weights.mean().item() == pytest.approx(1)
    assert all(len(weights[label == LABELS].unique()) == 1 for label in range(-1, 3))


def test_unknown_labels_are_drawn_as_often_as_they_occur() -> None:
    assert (sampling_weights(LABELS)[LABELS < 0] == 1).all()
    assert (sampling_weights(torch.tensor([-1, -1])) == 1).all()


def test_a_balanced_epoch_meets_its_expectation() -> None:
    drawn = torch.cat([LABELS[order_of(True, generator(seed))] for seed in range(500)])
    shares = [(drawn == label).double().mean().item() for label in range(-1, 3)]
    # 20 000 draws: three standard errors are 0.01.
    assert shares == pytest.approx([7 / 40, 11 / 40, 11 / 40, 11 / 40], abs=0.01)


def test_an_epoch_is_as_long_as_the_cohort_and_draws_with_replacement() -> None:
    order = order_of(True, generator())
    assert len(order) == len(LABELS)
    assert len(order.unique()) < len(order)


def test_an_unbalanced_epoch_holds_everybody_once() -> None:
    order = order_of(False, generator())
    assert sorted(order.tolist()) == list(range(40))
    assert order.tolist() != list(range(40))


@pytest.mark.parametrize("balanced", [True, False])
def test_the_order_follows_the_seed(balanced: bool) -> None:
    first = order_of(balanced, generator(1))
    assert torch.equal(first, order_of(balanced, generator(1)))
    assert not torch.equal(first, order_of(balanced, generator(2)))


def test_the_last_batch_is_kept() -> None:
    order = torch.arange(20, 0, -1)
    parts = batches(order, 8)
    assert [len(part) for part in parts] == [8, 8, 4]
    assert torch.equal(torch.cat(list(parts)), order)


def test_seeds_are_the_same_on_every_machine_and_differ_by_every_part() -> None:
    assert derived_seed(0, "epoch", 1) == 3808558412218152728
    seeds = {
        derived_seed(0, "epoch", 1),
        derived_seed(1, "epoch", 0),
        derived_seed(0, "epoch", "1"),
        derived_seed(0, "weights", 1),
        derived_seed(0),
    }
    assert len(seeds) == 5
    assert all(0 <= seed < 2**63 for seed in seeds)
    torch.manual_seed(max(seeds))  # PyTorch takes them


def test_every_target_is_balanced() -> None:
    """By raking: labels that go together, and gaps, notwithstanding."""
    stream = generator(3)
    first = (torch.rand(300, generator=stream) < 0.2).long()
    second = torch.where(torch.rand(300, generator=stream) < 0.8, first, 1 - first)
    third = torch.randint(-1, 3, (300,), generator=stream)
    labels = torch.stack([first, second, third], dim=1)
    weights = sampling_weights(labels)
    assert weights.mean().item() == pytest.approx(1)
    for column in labels.unbind(1):
        shares = [weights[column == c].sum() for c in column.unique() if c >= 0]
        torch.testing.assert_close(
            torch.stack(shares),
            torch.full_like(torch.stack(shares), float(shares[0])),
            rtol=1e-6,
            atol=0,
        )


def test_one_target_among_one_is_drawn_as_alone() -> None:
    torch.testing.assert_close(sampling_weights(LABELS[:, None]), sampling_weights(LABELS))
