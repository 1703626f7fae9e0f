"""NumPy arrays and archives."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from histodistill.features import inspect, read_coords, read_patches
from tests.features import writers


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
    assert slide.layout == "numpy"
    expected = torch.tensor(stored.tolist()).to(bag_dtype)
    assert read_patches(slide).dtype == bag_dtype
    assert torch.equal(read_patches(slide), expected)
    assert read_coords(slide) is None
