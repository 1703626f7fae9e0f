"""CLAM's files, and HDF5 files of that kind."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from histodistill.errors import InputError
from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


def test_clam_h5(tmp_path: Path):
    stored = writers.features()
    slide = inspect(writers.clam(tmp_path / "S1.h5", stored))
    assert (slide.layout, slide.encoder, slide.patch_um, slide.patch_px) == (
        "clam",
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
    assert (slide.layout, slide.patch_px, slide.patch_um) == ("clam", None, None)
    assert slide.tiling == {"patch_size": 256, "patch_level": 1}


@pytest.mark.parametrize("names", [("coords",), ("coords", "imgs"), ("barcode", "coords", "img")])
def test_patches_without_features_are_told_as_such(tmp_path: Path, names: tuple[str, ...]):
    with h5py.File(tmp_path / "S1.h5", "w") as h5:
        for name in names:
            h5[name] = writers.grid()
    with pytest.raises(InputError, match=r"holds where the patches are, .*and no features; give"):
        inspect(tmp_path / "S1.h5")
