"""Every layout, written as its tool writes it, read back."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import pytest
import torch

from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


def test_trident(tmp_path: Path):
    stored = writers.features()
    slide = inspect(writers.trident(tmp_path / "S1.h5", stored))
    assert (slide.layout, slide.n_patches, slide.width, slide.dtype) == (
        "TRIDENT h5",
        7,
        5,
        "float32",
    )
    assert (slide.encoder, slide.patch_px, slide.patch_um) == ("uni_v1", 256, 128.0)
    assert slide.tiling["patch_size_level0"] == 512
    assert slide.tiling["savetodir"] == "20x_256px_0px_overlap"
    assert torch.equal(read_patches(slide), torch.from_numpy(stored))
    assert slide.coords_unit == "level-0 px"
    np.testing.assert_array_equal(read_coords(slide), writers.grid())


def test_trident_with_a_batch_dimension_and_no_encoder(tmp_path: Path):
    stored = writers.features(40)
    slide = inspect(writers.trident(tmp_path / "S1.h5", stored, encoder=None, batched=True))
    assert (slide.layout, slide.n_patches, slide.width, slide.encoder) == (
        "TRIDENT h5",
        40,
        5,
        None,
    )
    assert torch.equal(read_patches(slide), torch.from_numpy(stored))
    few = np.array([2, 39])
    assert torch.equal(read_patches(slide, few), torch.from_numpy(stored[few]))


def test_clam_h5(tmp_path: Path):
    stored = writers.features()
    slide = inspect(writers.clam(tmp_path / "S1.h5", stored))
    assert (slide.layout, slide.encoder, slide.patch_um, slide.patch_px) == (
        "CLAM h5",
        None,
        None,
        None,
    )
    assert torch.equal(read_patches(slide), torch.from_numpy(stored))
    np.testing.assert_array_equal(read_coords(slide), writers.grid())


def test_h5_without_coordinates(tmp_path: Path):
    with h5py.File(tmp_path / "S1.h5", "w") as h5:
        h5["features"] = writers.features()
    slide = inspect(tmp_path / "S1.h5")
    assert slide.n_patches == 7
    assert slide.coords_unit is None
    assert read_coords(slide) is None


def test_h5_compressed_in_chunks(tmp_path: Path):
    stored = writers.features(300, 20, "float16")
    with h5py.File(tmp_path / "S1.h5", "w") as h5:
        h5.create_dataset(
            "features", data=stored, chunks=(64, 20), compression="gzip", shuffle=True
        )
    assert torch.equal(read_patches(inspect(tmp_path / "S1.h5")), torch.from_numpy(stored))


def test_clam_coordinates_in_trident(tmp_path: Path):
    # TRIDENT run on CLAM's coordinates keeps CLAM's attributes: no size in µm follows from them.
    path = writers.clam(tmp_path / "S1.h5", writers.features())
    with h5py.File(path, "a") as h5:
        h5["coords"].attrs.update({"patch_size": 256, "patch_level": 1})
    slide = inspect(path)
    assert (slide.layout, slide.patch_px, slide.patch_um) == ("CLAM h5", None, None)
    assert slide.tiling == {"patch_size": 256, "patch_level": 1}


def test_stamp(tmp_path: Path):
    slide = inspect(writers.stamp_2_4(tmp_path / "S1.h5", writers.features()))
    assert (slide.layout, slide.dtype, slide.encoder) == ("STAMP h5", "float16", "mahmood-uni")
    assert (slide.patch_um, slide.patch_px, slide.coords_unit) == (256.0, 224, "µm")
    assert slide.tiling["stamp_version"] == "2.4.0"
    assert read_patches(slide).dtype == torch.float16
    coords = read_coords(slide)
    assert coords is not None
    np.testing.assert_array_equal(coords, writers.grid(step=256))


def test_stamp_2_0_says_tile_size_and_unit(tmp_path: Path):
    path = writers.stamp(
        tmp_path / "S1.h5",
        writers.features(dtype="float16"),
        writers.grid(step=256).astype(np.float32),
        extractor="mahmood-uni",
        unit="um",
        tile_size=256.0,
    )
    slide = inspect(path)
    assert (slide.patch_um, slide.patch_px, slide.coords_unit) == (256.0, None, "µm")


@pytest.mark.parametrize("attributes", [{}, {"tile_size": 224}])
def test_stamp_1_coordinates_are_pixels_of_256_um_tiles(tmp_path: Path, attributes: dict):
    pixels = writers.grid(step=224)
    path = writers.stamp(
        tmp_path / "S1.h5",
        writers.features(dtype="float16"),
        pixels,
        extractor="STAMP-extract-v1_xiyuewang-ctranspath-7c998680",
        **attributes,
    )
    slide = inspect(path)
    assert (slide.patch_um, slide.patch_px, slide.coords_unit) == (256.0, 224, "µm")
    coords = read_coords(slide)
    assert coords is not None
    np.testing.assert_allclose(coords, writers.grid(step=256))


def test_stamp_of_unknown_unit_gives_coordinates_as_stored(tmp_path: Path):
    stored = writers.grid(step=100)
    path = writers.stamp(tmp_path / "S1.h5", writers.features(), stored, extractor="x")
    slide = inspect(path)
    assert (slide.coords_unit, slide.patch_um) == (None, None)
    np.testing.assert_array_equal(read_coords(slide), stored)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tensor_file(tmp_path: Path, dtype: torch.dtype, legacy: bool):
    stored = torch.from_numpy(writers.features()).to(dtype)
    slide = inspect(writers.tensor(tmp_path / "S1.pt", stored, legacy))
    assert (slide.layout, slide.n_patches, slide.width) == ("PyTorch tensor", 7, 5)
    patches = read_patches(slide)
    assert patches.dtype == dtype
    assert torch.equal(patches, stored)
    assert read_coords(slide) is None


def test_tensor_file_survives_its_deletion(tmp_path: Path):
    stored = torch.from_numpy(writers.features())
    slide = inspect(writers.tensor(tmp_path / "S1.pt", stored))
    patches = read_patches(slide)
    slide.path.write_bytes(b"\0" * slide.path.stat().st_size)
    assert torch.equal(patches, stored)


@pytest.mark.parametrize("key", ["features", "feats"])
def test_tensor_in_a_dictionary(tmp_path: Path, key: str):
    stored = torch.from_numpy(writers.features())
    path = writers.tensor(tmp_path / "S1.pt", {key: stored, "coords": torch.zeros(7, 2)})
    assert torch.equal(read_patches(inspect(path)), stored)


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
    assert (slide.layout, slide.coords_path) == ("PyTorch tensor", None)


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


@pytest.mark.parametrize(
    ("stored_dtype", "bag_dtype"),
    [
        ("float16", torch.float16),
        (">f2", torch.float16),
        ("float32", torch.float32),
        (">f4", torch.float32),
        ("float64", torch.float32),
    ],
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy(tmp_path: Path, stored_dtype: str, bag_dtype: torch.dtype, order: Literal["C", "F"]):
    stored = np.asarray(writers.features(dtype=stored_dtype), order=order)
    slide = inspect(writers.array(tmp_path / "S1.npy", stored))
    assert slide.layout == "NumPy array"
    expected = torch.tensor(stored.tolist()).to(bag_dtype)
    assert read_patches(slide).dtype == bag_dtype
    assert torch.equal(read_patches(slide), expected)
    assert read_coords(slide) is None


def test_content_decides_not_the_suffix(tmp_path: Path):
    stored = writers.features()
    assert inspect(writers.trident(tmp_path / "a.pt", stored)).layout == "TRIDENT h5"
    tensor = writers.tensor(tmp_path / "b.h5", torch.from_numpy(stored))
    assert inspect(tensor).layout == "PyTorch tensor"


def _every_layout(folder: Path, stored: np.ndarray) -> list[Path]:
    half = torch.from_numpy(stored)
    np.savez(folder / "g.npz", features=stored)
    return [
        writers.trident(folder / "a.h5", stored),
        writers.trident(folder / "b.h5", stored, batched=True),
        writers.stamp_2_4(folder / "c.h5", stored),
        writers.tensor(folder / "d.pt", half),
        writers.tensor(folder / "e.pt", half[None], legacy=True),
        writers.array(folder / "f.npy", stored),
        folder / "g.npz",
    ]


@pytest.mark.parametrize("rows", [[3], [0, 49], list(range(0, 50, 2))])
def test_rows_alone(tmp_path: Path, rows: list[int]):
    stored = writers.features(50, dtype="float16")
    for path in _every_layout(tmp_path, stored):
        patches = read_patches(inspect(path), np.array(rows))
        assert torch.equal(patches, torch.from_numpy(stored[rows])), path


def test_slides_are_hashable_and_picklable(tmp_path: Path):
    for path in _every_layout(tmp_path, writers.features()):
        slide = inspect(path)
        assert pickle.loads(pickle.dumps(slide)) == slide
        assert hash(slide) == hash(inspect(path))
