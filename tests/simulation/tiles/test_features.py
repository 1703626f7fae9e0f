"""Tiles are encoded once for each stain, and found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from histodistill.errors import InputError
from histodistill.simulation.tiles import encode_tiles, hospital_stains, read_tiles
from tests.simulation.tiles.small import SETTINGS, colour_encoder, encoded, write_tiles


def test_each_tile_is_encoded_once_a_stain_and_kept(tmp_path: Path) -> None:
    library = read_tiles(write_tiles(tmp_path / "tiles", 5))
    encoder, told = colour_encoder(), []
    first = encode_tiles(
        library,
        encoder,
        hospital_stains(2, 0.1),
        cache=tmp_path / "cache",
        progress=lambda done, total: told.append((done, total)),
    )
    assert first.values.shape == (2, 20, 6)
    assert told == [(16, 40), (20, 40), (36, 40), (40, 40)]
    assert encoder._network.calls == 40
    again = encode_tiles(library, encoder, hospital_stains(3, 0.1), cache=tmp_path / "cache")
    assert encoder._network.calls == 60
    np.testing.assert_array_equal(again.values[:2], first.values)


def test_another_tile_is_not_taken_for_the_old_one(tmp_path: Path) -> None:
    tiles = write_tiles(tmp_path / "tiles", 5)
    before = encoded(read_tiles(tiles), SETTINGS, tmp_path)
    (tiles / "fat" / "fat-00.png").write_bytes((tiles / "tumour" / "tumour-00.png").read_bytes())
    after = encoded(read_tiles(tiles), SETTINGS, tmp_path)
    assert not np.allclose(after.values[:, 0], before.values[:, 0])
    np.testing.assert_array_equal(after.values[:, 0], after.values[:, 15])


def test_reduction_keeps_distances_where_nothing_is_left_out(tmp_path: Path) -> None:
    whole = encoded(read_tiles(write_tiles(tmp_path / "tiles", 5)), SETTINGS, tmp_path)
    rotated = whole.reduced(6)
    assert rotated.encoder == "colours (PCA 6)"
    before, after = (
        np.linalg.norm(x[:, None].astype(float) - x[None].astype(float), axis=-1)
        for x in (whole.values.reshape(-1, 6), rotated.values.reshape(-1, 6))
    )
    np.testing.assert_allclose(after, before, atol=0.02)
    assert whole.reduced(2).values.shape == (2, 20, 2)
    with pytest.raises(InputError, match="7 components cannot be made of 40 tiles with 6 features"):
        whole.reduced(7)
