"""The weights and the batch behind the reference numbers, rebuilt from their recipe."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

N_GENES = 8192


def reference_state(folder: Path, name: str) -> dict[str, Tensor]:
    """The ``state_dict`` of one network in the authors' layout."""
    shapes = json.loads((folder / "parameters.json").read_text())[name]
    return {key: _weight(f"{name}.{key}", shape) for key, shape in shapes.items()}


def _weight(seed: str, shape: list[int]) -> Tensor:
    drawn = np.random.default_rng(zlib.crc32(seed.encode())).standard_normal(shape)
    drawn = drawn.astype(np.float32)
    scaled = drawn / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else 0.01 * drawn
    return torch.from_numpy(scaled.astype(np.float32))


def reference_batch() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Bags [n_i, 1024], genes [16, 8192] and labels [16]."""
    rng = np.random.default_rng(20261123)
    sizes = rng.integers(5, 60, size=16)
    bags = [rng.standard_normal((size, 1024)).astype(np.float32) for size in sizes]
    genes = rng.standard_normal((16, N_GENES)).astype(np.float32)
    return bags, genes, rng.integers(0, 2, size=16)
