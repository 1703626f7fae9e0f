"""The partitions against exhaustive search."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodistill.cohort.balance import balanced_partitions


def cost(shares, quotas, parts):
    return sum(
        ((shares[parts == part].sum(axis=0) - quota) ** 2).sum()
        for part, quota in enumerate(quotas)
    )


def exhaustive(shares, quotas):
    every = product(range(len(quotas)), repeat=len(shares))
    return min(
        cost(shares, quotas, np.array(parts)) for parts in every if len(set(parts)) == len(quotas)
    )


def drawn_shares(seed, n_groups, n_classes=2):
    rng = np.random.default_rng(seed)
    counts = rng.geometric(0.1, size=(n_groups, n_classes)).astype(float)
    counts = np.column_stack([counts, counts.sum(axis=1)])
    return counts / counts.sum(axis=0)


@pytest.mark.parametrize("quotas", [[1 / 3] * 3, [0.8, 0.2], [0.5, 0.3, 0.2]])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_is_the_optimum(seed, quotas):
    shares = drawn_shares(seed, 8)
    best = balanced_partitions(shares, np.array(quotas), np.random.default_rng(0))[0]
    assert cost(shares, quotas, best) == pytest.approx(exhaustive(shares, quotas), abs=1e-10)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_groups=st.integers(2, 12), n_parts=st.integers(2, 5))
def test_partitions_are_different_sorted_and_leave_no_part_empty(seed, n_groups, n_parts):
    n_parts = min(n_groups, n_parts)
    shares = drawn_shares(seed, n_groups)
    quotas = np.full(n_parts, 1 / n_parts)
    found = balanced_partitions(shares, quotas, np.random.default_rng(seed))
    assert all(set(parts) == set(range(n_parts)) for parts in found)
    costs = [cost(shares, quotas, parts) for parts in found]
    assert np.all(np.diff(costs) > -1e-10)
    together = {(parts[:, None] == parts).tobytes() for parts in found}
    assert len(together) == len(found)


def test_a_part_is_filled_even_where_balance_would_leave_it_empty():
    halves = np.full((2, 2), 0.5)
    parts = balanced_partitions(halves, np.array([0.9, 0.1]), np.random.default_rng(0))[0]
    assert set(parts) == {0, 1}


def test_the_generator_decides():
    shares, quotas = drawn_shares(1, 30), np.full(4, 0.25)
    first, again = (balanced_partitions(shares, quotas, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
