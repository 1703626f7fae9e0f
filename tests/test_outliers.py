"""Who stands apart in one figure: single ones, the smaller of two groups, and nobody by chance."""

from __future__ import annotations

import numpy as np
import pytest

from histodistill.outliers import apart


@pytest.mark.parametrize(
    "draw",
    [np.random.Generator.standard_normal, np.random.Generator.random],
    ids=["normal", "uniform"],
)
def test_one_group_is_not_cut(draw):
    rng = np.random.default_rng(0)
    assert not any(apart(draw(rng, n), 0).any() for n in (20, 30, 60, 300) for _ in range(100))


def test_single_ones_and_the_smaller_group_stand_apart():
    rng = np.random.default_rng(0)
    figures = rng.standard_normal(100)
    figures[:3] += 20
    assert np.flatnonzero(apart(figures, 1)).tolist() == [0, 1, 2]
    figures[3:45] += 20
    assert np.flatnonzero(apart(figures, 1)).tolist() == list(range(45))
    assert not apart(figures, 50).any()
    assert not apart(figures[40:55], 1).any()  # too few to show a rule
