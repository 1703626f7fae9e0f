"""STAMP's files of every version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


def test_stamp(tmp_path: Path):
    slide = inspect(writers.stamp_2_4(tmp_path / "S1.h5", writers.features()))
    assert (slide.layout, slide.dtype, slide.encoder) == ("stamp", "float16", "mahmood-uni")
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
