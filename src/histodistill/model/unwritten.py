"""Networks without weights, for those that are given theirs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def unwritten() -> Iterator[None]:
    """Within it networks are built of tensors that have a shape, but neither memory nor values."""
    with torch.device("meta"), _NoFirstWeights():
        yield


class _NoFirstWeights(TorchFunctionMode):
    """Leaves out first weights, which tensors without memory do not hold.

    PyTorch would load its compiler for them: a second, and more than 100 MB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The tensor as it is instead of any function of ``torch.nn.init``."""
        given = kwargs or {}
        if getattr(func, "__module__", "") == torch.nn.init.__name__:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)
