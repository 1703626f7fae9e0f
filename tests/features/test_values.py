"""Values without PyTorch are those that PyTorch gives, bit for bit."""

from __future__ import annotations

import itertools
from functools import reduce

import numpy as np
import pytest
import torch

from histodistill.features.values import (
    ITEM_BYTES,
    as_bytes,
    as_tensor,
    converted,
    joined,
    narrowest,
    patches_of,
)

STORED = ("float16", "bfloat16", "float32", "float64")
VALUES = np.random.default_rng(0).normal(0, 1e4, (7, 5))


@pytest.mark.parametrize("names", list(itertools.product(STORED, repeat=2)))
def test_the_narrowest_dtype_is_what_pytorch_promotes_to(names):
    in_memory = [torch.float32 if n == "float64" else getattr(torch, n) for n in names]
    assert getattr(torch, narrowest(names)) == reduce(torch.promote_types, in_memory)


@pytest.mark.parametrize("stored", ["float16", "float32", "float64"])
@pytest.mark.parametrize("dtype", list(ITEM_BYTES))
def test_conversion_rounds_as_pytorch_does(stored, dtype):
    array = patches_of(VALUES.astype(stored))
    tensor = torch.from_numpy(np.array(array)).to(getattr(torch, dtype))
    assert torch.equal(as_tensor(converted(array, dtype)), tensor)
    assert bytes(as_bytes(converted(array, dtype))) == bytes(as_bytes(tensor))


def test_arrays_and_tensors_are_joined():
    half = VALUES.astype(np.float16)
    apart = joined([half[:3], torch.from_numpy(half[3:])])
    assert torch.equal(as_tensor(apart), torch.from_numpy(half))
    together = joined([half[:3], half[3:]])
    assert isinstance(together, np.ndarray)
    assert np.array_equal(together, half)
