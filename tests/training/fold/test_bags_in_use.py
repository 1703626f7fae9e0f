"""Bags as programmes read them, shared while they are in use."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import torch

from histodistill.training.fold.bags_in_use import BagsInUse
from tests.preparation.cohorts import store
from tests.preparation.test_programmes import a_map


def test_two_maps_are_never_mixed_up(tmp_path: Path) -> None:
    in_use, bags = BagsInUse(), store(tmp_path)
    one, other = a_map(0), a_map(1)
    first, second = in_use.of(bags, one), in_use.of(bags, other)
    assert in_use.of(bags, one) is first
    assert not torch.equal(first.bag("a"), second.bag("a"))
    # Nor are two cohorts, nor maps that come and go where others were in memory.
    assert in_use.of(store(tmp_path), one) is not first
    for seed in range(30):
        passing = a_map(seed)
        expected = passing.transform(bags.bag("b"))
        assert torch.equal(in_use.of(bags, passing).bag("b"), expected)


def test_what_nobody_uses_is_not_kept(tmp_path: Path) -> None:
    in_use, bags, programmes = BagsInUse(), store(tmp_path), a_map()
    read = in_use.of(bags, programmes)
    gone = weakref.ref(bags)
    del bags
    gc.collect()
    assert gone() is not None
    del read
    gc.collect()
    assert gone() is None
