"""How much patches differ within bags, by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from histodistill.features.within_bags import LEAST_WITHIN_BAGS, patches_differ, share_within


def test_the_variance_within_and_between_bags_is_all_there_is() -> None:
    rng = np.random.default_rng(0)
    bags = [(rng.normal(size=3) + rng.normal(size=(50, 3))).astype(np.float32) for _ in range(20)]
    every = np.concatenate(bags).astype(np.float64)  # bags of one size: each counts alike
    within = np.concatenate([bag - bag.mean(axis=0) for bag in bags]).astype(np.float64)
    expected = np.square(within).mean(axis=0).sum() / every.var(axis=0).sum()
    assert share_within(bags) == pytest.approx(expected, rel=1e-5)


def test_each_bag_counts_alike() -> None:
    small, large = np.array([[0], [2]], np.float32), np.zeros((1000, 1), np.float32)
    # Means 1 and 0, variances 1 and 0.
    assert share_within([small, large]) == pytest.approx(0.5 / (0.5 + 0.25))


@pytest.mark.parametrize("bag", [np.ones((5, 2)), np.ones((1, 2))])
def test_patches_that_are_alike_do_not_differ(bag: np.ndarray) -> None:
    assert share_within([bag.astype(np.float32), 3 * bag.astype(np.float32)]) == 0
    assert share_within([bag.astype(np.float32)] * 2) == 0
    assert not patches_differ(0)


def test_half_of_the_variance_is_enough() -> None:
    assert patches_differ(LEAST_WITHIN_BAGS)
    assert not patches_differ(LEAST_WITHIN_BAGS - 1e-9)
