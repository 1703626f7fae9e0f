"""What holds for feature files of every layout."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from histodistill.features import inspect, read_patches
from tests.features import writers


def test_content_decides_not_the_suffix(tmp_path: Path):
    stored = writers.features()
    assert inspect(writers.trident(tmp_path / "a.pt", stored)).layout == "trident"
    tensor = writers.tensor(tmp_path / "b.h5", torch.from_numpy(stored))
    assert inspect(tensor).layout == "pytorch"


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
