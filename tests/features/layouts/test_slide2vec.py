"""slide2vec's features with what lies beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


def test_slide2vec(tmp_path: Path):
    stored = torch.from_numpy(writers.features()).half()
    slide = inspect(writers.slide2vec(tmp_path, "S1", stored))
    assert (slide.layout, slide.encoder) == ("slide2vec", "virchow2")
    assert (slide.patch_px, slide.patch_um, slide.coords_unit) == (224, 112.0, "level-0 px")
    assert torch.equal(read_patches(slide), stored)
    np.testing.assert_array_equal(read_coords(slide), writers.grid())


@pytest.mark.parametrize(
    ("features", "coords"),
    [
        ("run/S1.pt", "run/S1.npz"),
        ("run/S1.pt", "run/S1.coordinates.npz"),
        ("run/features/S1.pt", "run/coordinates/S1.npz"),
        ("run/features/S1-tiles.pt", "run/coordinates/S1.npz"),
        ("run/features/S1.pt", "run/coordinates/S1.npy"),
        ("run/tile_embeddings/S1.pt", "run/tiles/S1.tiles.npz"),
        ("run/tile_embeddings/tumor/S1.pt", "run/tiles/tumor/S1.coordinates.npz"),
    ],
)
def test_where_slide2vec_coordinates_lie(tmp_path: Path, features: str, coords: str):
    for name in (features, coords):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    writers.tensor(tmp_path / features, torch.ones(7, 5))
    write = writers.coords_npy if coords.endswith(".npy") else writers.coords_npz
    write(tmp_path / coords, 7)
    slide = inspect(tmp_path / features)
    assert (slide.layout, slide.coords_path) == ("slide2vec", tmp_path / coords)
    np.testing.assert_array_equal(read_coords(slide), writers.grid())


def test_arrays_of_the_same_name_are_not_coordinates(tmp_path: Path):
    writers.array(tmp_path / "S1.npy", writers.features())
    np.savez(tmp_path / "S1.npz", features=writers.features())
    slide = inspect(writers.tensor(tmp_path / "S1.pt", torch.ones(7, 5)))
    assert (slide.layout, slide.coords_path) == ("pytorch", None)


def test_slide2vec_npz(tmp_path: Path):
    stored = writers.features(dtype="float16")
    path = tmp_path / "tile_embeddings" / "S1.npz"
    path.parent.mkdir()
    np.savez_compressed(path, features=stored, tile_index=np.arange(7))
    (tmp_path / "tiles").mkdir()
    writers.coords_npz(tmp_path / "tiles" / "S1.coordinates.npz", 7)
    slide = inspect(path)
    assert (slide.layout, slide.dtype, slide.width) == ("slide2vec", "float16", 5)
    assert torch.equal(read_patches(slide), torch.from_numpy(stored))
    np.testing.assert_array_equal(read_coords(slide), writers.grid())
