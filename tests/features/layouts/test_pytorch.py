"""Tensor files of PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tensor_file(tmp_path: Path, dtype: torch.dtype, legacy: bool):
    stored = torch.from_numpy(writers.features()).to(dtype)
    slide = inspect(writers.tensor(tmp_path / "S1.pt", stored, legacy))
    assert (slide.layout, slide.n_patches, slide.width) == ("pytorch", 7, 5)
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
