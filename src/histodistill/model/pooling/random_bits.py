"""Random bits in bulk, made from one draw of a generator."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from histodistill.computing.compiled import compiled_function

_SOURCE = Path(__file__).with_suffix(".cpp")
# SplitMix64's constants, as signed numbers.
_STEP = 0x9E3779B97F4A7C15 - 2**64
_ROUNDS = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))
_LAST = 31


def random_bits(size: int, device: torch.device, generator: torch.Generator | None) -> Tensor:
    """Numbers of 64 random bits, [size] int64.

    On a CPU one number is drawn and seeds SplitMix64, since torch's own generator there makes
    them one after the other, on one thread.

    Args:
        size: How many.
        device: Where.
        generator: Where the randomness comes from; torch's global generator if None.
    """
    seeded = device.type == "cpu" and size > 0  # for no numbers nothing is drawn
    drawn = torch.empty(1 if seeded else size, dtype=torch.int64, device=device)
    drawn.random_(-(2**63), None, generator=generator)
    return made_of(int(drawn), size) if seeded else drawn


def made_of(seed: int, size: int) -> Tensor:
    """The numbers of a seed, in C++ where there is a compiler, [size] int64 on the CPU."""
    kernel = _kernel()
    if kernel is None:
        return plainly_made_of(seed, size)
    out = torch.empty(size, dtype=torch.int64)
    kernel(seed, out.data_ptr(), size, torch.get_num_threads())
    return out


def plainly_made_of(seed: int, size: int) -> Tensor:
    """The same in PyTorch, whose integers wrap around."""
    bits = torch.arange(size).mul_(_STEP).add_(seed)
    for places, factor in _ROUNDS:
        bits.bitwise_xor_(_shifted(bits, places)).mul_(factor)
    return bits.bitwise_xor_(_shifted(bits, _LAST))


def _shifted(bits: Tensor, places: int) -> Tensor:
    """Shifted to the right, zeros coming in."""
    return (bits >> places).bitwise_and_(2 ** (64 - places) - 1)


@functools.cache
def _kernel() -> Callable[..., None] | None:
    arguments = [ctypes.c_int64, ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    return compiled_function(_SOURCE, "random_bits", arguments)
