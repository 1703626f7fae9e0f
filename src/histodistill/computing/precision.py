"""In which number type a device computes fast.

A processor's flags do not tell: one with AMX multiplies in bfloat16 eight times as fast as in
float32, one that has AVX-512's bfloat16 alone may be slower in it, and one without either takes a
hundred times as long. So it is measured.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

Precision = Literal["float32", "bfloat16"]
PrecisionChoice = Literal["auto", "float32", "bfloat16"]
NarrowType = Literal["bfloat16", "float16"]

WORTH = 1.5
"""How many times as fast products must be for a whole step to be faster, too."""

# Sides of the products that are timed, each eight times the work of the one before; a small one
# costs more to call than to compute. One that takes so long shows what there is to see.
_SIDES = (64, 128, 256, 512)
_LONG_S = 0.005
_TIMES = 3


def fast_precision(device: torch.device) -> Precision:
    """The type that a device computes fastest in, of those that training knows.

    Args:
        device: The device. NVIDIA's are asked for bfloat16, a CPU is measured, for less than a
            second and once in a process; others take float32.
    """
    if device.type == "cuda":
        import torch

        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return "bfloat16" if fast else "float32"
    fast = device.type == "cpu" and times_as_fast("bfloat16") >= WORTH
    return "bfloat16" if fast else "float32"


@functools.cache
def times_as_fast(narrow: NarrowType) -> float:
    """How many times as fast as in float32 this processor multiplies in a type of two bytes.

    Measured with square matrices on one thread, by its processor time, so that other work on the
    machine does not count. It takes some milliseconds, and less than a second where products in
    the type are very slow.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measured(getattr(torch, narrow))
    finally:
        torch.set_num_threads(threads)


def _measured(narrow: torch.dtype) -> float:
    import torch

    wide_s = narrow_s = 1.0
    for side in _SIDES:
        factor = torch.ones(side, side)
        narrow_s = _seconds(functools.partial(torch.mm, *[factor.to(narrow)] * 2))
        wide_s = _seconds(functools.partial(torch.mm, factor, factor))
        if narrow_s > _LONG_S:
            break
    return wide_s / narrow_s


def _seconds(action: Callable[[], object]) -> float:
    """Processor time of an action, the least of some; of two where it takes long."""
    _once(action)  # the first time prepares
    taken = _once(action)
    if taken > _LONG_S:
        return taken
    return min(taken, *(_once(action) for _ in range(_TIMES)))


def _once(action: Callable[[], object]) -> float:
    started = time.thread_time()
    action()
    return max(time.thread_time() - started, 1e-9)  # where the clock is coarse
