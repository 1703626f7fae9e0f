"""Every test here runs on a stand-in, and on a GPU where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tests.gpu.stand_in import stand_in_gpu
from tests.training.conftest import _one_thread, world

__all__ = ["_one_thread", "world"]


@pytest.fixture(params=["stand-in", pytest.param("GPU", marks=pytest.mark.cuda)])
def gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The GPU, or what stands in for it."""
    if request.param == "GPU":
        if not torch.cuda.is_available():
            pytest.skip("no NVIDIA GPU")
        yield torch.device("cuda", torch.cuda.current_device())
    else:
        with stand_in_gpu() as device:
            yield device
