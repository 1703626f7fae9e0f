"""A GPU that is none: CUDA is asked of the CPU, and tensors say that they lie on the GPU.

So the lines that only a GPU reaches run on every machine. It cannot tell whether a kernel of CUDA
exists or is exact, nor whether something was left on another device; a GPU tells that.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")
NAME = "stand-in"
MEMORY = 80 * 2**30
_Generator = torch.Generator
# Attributes of a tensor are asked for by these functions.
_DEVICE = cast("Any", torch.Tensor.device).__get__
_IS_CPU = cast("Any", torch.Tensor.is_cpu).__get__


class _OnTheCpu(TorchFunctionMode):
    """Replaces the GPU in every call by the CPU, and tells the GPU as the place of all tensors."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function == _DEVICE:
            return GPU
        if function == _IS_CPU:
            return False
        if function is torch.device:
            return function(*args, **(kwargs or {}))
        kwargs = {k: _here(value) for k, value in (kwargs or {}).items() if k != "pin_memory"}
        return function(*map(_here, args), **kwargs)


def _here(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == "cuda":
        return CPU
    return "cpu" if isinstance(value, str) and value.startswith("cuda") else value


class _GeneratorHere(_Generator):
    """A generator of the GPU's, which is one of the CPU."""

    def __new__(cls, device: Any = CPU) -> _GeneratorHere:
        made: _GeneratorHere = cast(Any, _Generator.__new__)(cls, device=_here(device))
        return made


def _asked_here(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that is asked about the CPU where it is asked about the GPU."""

    @functools.wraps(function)
    def asked(*args: Any, **kwargs: Any) -> Any:
        return function(*map(_here, args), **{k: _here(v) for k, v in kwargs.items()})

    return asked


@contextmanager
def stand_in_gpu() -> Iterator[torch.device]:
    """PyTorch as if it saw one GPU of 80 GiB that has bfloat16."""
    mode = _OnTheCpu()
    walk_back = cast(Any, torch.autograd)._engine_run_backward

    def walk_back_in_the_mode(*args: Any, **kwargs: Any) -> Any:
        with mode:  # PyTorch leaves it while it answers a call
            return walk_back(*args, **kwargs)

    properties = SimpleNamespace(name=NAME, total_memory=MEMORY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.autograd, "_engine_run_backward", walk_back_in_the_mode)
        for name in ("load", "autocast", "is_autocast_enabled", "get_autocast_dtype"):
            patch.setattr(torch, name, _asked_here(getattr(torch, name)))
        patch.setattr(torch, "Generator", _GeneratorHere)
        for name, answer in {
            "is_available": True,
            "device_count": 1,
            "current_device": 0,
            "get_device_name": NAME,
            "get_device_properties": properties,
            "is_bf16_supported": True,
            "mem_get_info": (MEMORY, MEMORY),
            "synchronize": None,
        }.items():
            patch.setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
        with mode:
            yield GPU
