"""TRIDENT's files, written as it writes them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import torch

from histodistill.features import inspect, read_coords, read_patches
from histodistill.features.layouts.attributes import plain
from tests.features import writers


def test_trident(tmp_path: Path):
    stored = writers.features()
    slide = inspect(writers.trident(tmp_path / "S1.h5", stored))
    assert (slide.layout, slide.n_patches, slide.width, slide.dtype) == (
        "trident",
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
        "trident",
        40,
        5,
        None,
    )
    assert torch.equal(read_patches(slide), torch.from_numpy(stored))
    few = np.array([2, 39])
    assert torch.equal(read_patches(slide, few), torch.from_numpy(stored[few]))


def test_text_that_is_no_utf8_can_be_printed(tmp_path: Path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["encoder"] = b"\xff uni"
        assert plain(file.attrs) == {"encoder": "� uni"}
