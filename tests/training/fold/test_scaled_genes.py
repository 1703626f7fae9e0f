"""Genes are scaled once a fold, and what is kept of them has a bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histodistill.genomics import GenomicPreprocessor
from histodistill.model import Networks
from histodistill.training import cross_validate
from histodistill.training.fold.scaled_genes import ScaledGenes
from tests.training.cohorts import World, experiment


class Counted:
    """Counts the calls of a method that goes on as before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
        self.calls = 0
        before = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            return before(*args, **kwargs)

        monkeypatch.setattr(owner, name, counted)


def fitted(table: pd.DataFrame) -> GenomicPreprocessor:
    return GenomicPreprocessor.identity(list(table.columns))


def table(seed: int) -> pd.DataFrame:
    values = np.random.default_rng(seed).normal(size=(5, 3)).astype("float32")
    return pd.DataFrame(values, index=list("abcde"), columns=["x", "y", "z"])


def test_a_block_is_scaled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = table(0), table(1)
    block = fitted(one)
    expected = {id(each): block.transform(each) for each in (one, other)}
    scaling = Counted(monkeypatch, GenomicPreprocessor, "transform")
    kept = ScaledGenes()
    for each in (one, other, one, other):
        scaled = kept.of(block, each)
        np.testing.assert_array_equal(scaled, expected[id(each)])
        assert list(scaled.index) == list("abcde")
    assert scaling.calls == 2


def test_the_oldest_goes_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = [table(seed) for seed in range(3)]
    blocks = [fitted(each) for each in tables]
    scaling = Counted(monkeypatch, GenomicPreprocessor, "transform")
    kept = ScaledGenes(most_bytes=2 * 5 * 3 * 4)
    for place in (0, 1, 0, 2, 0, 1):  # 2 takes the room of 1, which is made again
        kept.of(blocks[place], tables[place])
    assert scaling.calls == 4


def test_a_block_without_any_room_is_scaled_all_the_same() -> None:
    one = table(0)
    np.testing.assert_array_equal(ScaledGenes(most_bytes=0).of(fitted(one), one), one)


def test_methods_of_a_fold_share_what_is_scaled_and_build_each_network_once(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup = experiment(
        world.files,
        tmp_path,
        methods={"abmil": {}, "mkd": {}, "snn": {}},
        training={"max_epochs": 1},
    )
    scaling = Counted(monkeypatch, GenomicPreprocessor, "transform")
    building = Counted(monkeypatch, Networks, "__init__")
    rows = cross_validate(setup, world.data)
    folds = rows["fold"].nunique()
    assert scaling.calls == folds * len(world.data.genomics)
    # Each network once, and a frame for mkd's three; its costs frame each of the three alone.
    assert building.calls == folds * (1 + (3 + 1 + 3) + 1)
