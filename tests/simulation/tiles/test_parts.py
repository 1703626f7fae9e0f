"""No tile stands in two parts, and every fold keeps training, stopping and testing apart."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histodistill.cohort.fold_files import read_folds
from histodistill.errors import InputError
from histodistill.simulation import draw_truth
from histodistill.simulation.tiles import read_tiles
from histodistill.simulation.tiles.parts import patient_parts, tile_pools, write_folds
from tests.simulation.tiles.small import SETTINGS, write_tiles

TRUTH = draw_truth(SETTINGS)


def test_parts_hold_labelled_patients_of_like_number() -> None:
    parts = patient_parts(SETTINGS, TRUTH)
    labelled = TRUTH["HAS_LABEL"].to_numpy()
    assert (parts[~labelled] == 3).all()
    assert np.ptp(np.bincount(parts[labelled], minlength=3)) <= 1


def test_tiles_of_parts_are_disjoint_and_all_used(tmp_path: Path) -> None:
    library = read_tiles(write_tiles(tmp_path))
    pools = tile_pools(SETTINGS, library, patient_parts(SETTINGS, TRUTH))
    whole = [np.concatenate(pool) for pool in pools]
    assert all(set(a).isdisjoint(b) for a, b in combinations(whole, 2))
    assert sorted(np.concatenate(whole)) == list(range(len(library.names)))
    for pool in pools:
        assert all((library.tissue[own] == number).all() for number, own in enumerate(pool))
        assert all(len(own) >= 2 for own in pool)


def test_without_unlabelled_patients_no_tile_is_kept_for_them(tmp_path: Path) -> None:
    settings = replace(SETTINGS, share_without_label=0.0)
    parts = patient_parts(settings, draw_truth(settings))
    pools = tile_pools(settings, read_tiles(write_tiles(tmp_path)), parts)
    assert all(len(own) == 0 for own in pools[3])


def test_a_class_with_too_few_tiles_is_named(tmp_path: Path) -> None:
    library = read_tiles(write_tiles(tmp_path, 3))
    with pytest.raises(InputError, match=r"The class fat has 3 tiles, too few for 4 parts") as told:
        tile_pools(SETTINGS, library, patient_parts(SETTINGS, TRUTH))
    assert len(told.value.problems) == 4


def test_folds_are_read_back_and_each_part_is_tested_once(tmp_path: Path) -> None:
    parts = patient_parts(SETTINGS, TRUTH)
    write_folds(tmp_path, TRUTH, parts, 3)
    labels = pd.Series(1, index=TRUTH["PATIENT"][parts < 3], dtype="Int64")
    read = read_folds(tmp_path, labels)
    assert not read.notes
    of = dict(zip(TRUTH["PATIENT"], parts, strict=True))
    for number, fold in enumerate(read.folds):
        assert {of[p] for p in fold.test} == {number}
        assert {of[p] for p in fold.validation} == {(number + 1) % 3}
        assert {of[p] for p in fold.train} == {(number + 2) % 3}
