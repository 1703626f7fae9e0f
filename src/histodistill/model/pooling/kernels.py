"""The steps of a block with their elementwise parts compiled, where there is a compiler."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from histodistill.computing.compiled import compiled
from histodistill.model.pooling.steps import Bits, PatchSteps, Pull, Weights

_SOURCE = Path(__file__).with_name("kernels.cpp")
_NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_POINTER, _INT, _LONG = ctypes.c_void_p, ctypes.c_int, ctypes.c_long
# Rows, columns and threads come last.
_ARGUMENTS: dict[str, list[Any]] = {
    "widen": [_POINTER] * 3,
    "rectify": [_POINTER, _POINTER, _POINTER, _INT, _INT],
    "gate": [_POINTER] * 4,
    "pool": [*[_POINTER] * 4, _LONG],
    "pool_back": [_POINTER] * 6,
    "gate_back": [_POINTER] * 5,
    "rectify_back": [_POINTER] * 6,
}
_BFLOAT16_ARGUMENTS: dict[str, list[Any]] = {
    "turn": [_POINTER, _POINTER, _LONG],
    "add": [_POINTER] * 2,
}
_PADDING = 64


def steps_for(weights: torch.dtype, products: torch.dtype, device: torch.device) -> PatchSteps:
    """The fastest steps there are for weights and products of these types on a device."""
    if device.type != "cpu" or weights is not torch.float32 or products not in _NAMES:
        return PatchSteps()
    return _kernel_steps(products) or PatchSteps()


def kernel_instructions() -> str | None:
    """The instructions that the kernels use on this machine, in words.

    Returns:
        None where they are not compiled, cannot be, or do not load.
    """
    library = compiled(_SOURCE)
    if library is None:
        return None
    library.instructions.restype = ctypes.c_char_p
    told: bytes = library.instructions()
    return told.decode()


@functools.cache
def _kernel_steps(dtype: torch.dtype) -> PatchSteps | None:
    library = compiled(_SOURCE)
    return None if library is None else KernelSteps(library, dtype)


class KernelSteps(PatchSteps):
    """The steps on a CPU, what follows or precedes a product in one pass over the memory.

    Args:
        library: The compiled kernels.
        dtype: Type of the products, float32 or bfloat16; all else is float32.
    """

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype) -> None:
        self._kernels: dict[str, Callable[..., None]] = {}
        narrow = _BFLOAT16_ARGUMENTS if dtype is torch.bfloat16 else {}
        for name, arguments in {**_ARGUMENTS, **narrow}.items():
            kernel = library[f"{name}_{_NAMES[dtype]}"]
            kernel.argtypes = [*arguments, _LONG, _LONG, _INT]
            kernel.restype = None
            self._kernels[name] = kernel

    def prepared(self, weights: Weights, dtype: torch.dtype) -> Weights:
        """Matrices in the type of the products, vectors in float32."""
        values = (value.to(dtype) if value.ndim == 2 else value for value in weights)
        return Weights(*(value.contiguous() for value in values))

    def widen(self, stored: Tensor, mean: Tensor | None, out: Tensor) -> None:
        """Patches [B, F] in the type of ``out``, less their mean [F]."""
        exact = mean is None or (mean.dtype is torch.float32 and mean.is_contiguous())
        if exact and stored.dtype is torch.float16 and stored.is_contiguous():
            self._run("widen", stored, mean, out, shape=out.shape)
        else:
            super().widen(stored, mean, out)

    def hide(self, patches: Tensor, weights: Weights, bits: Bits | None, out: Tensor) -> None:
        """``drop(relu(W x + b))`` of patches [B, F], to ``out`` [B, d]."""
        torch.mm(patches, weights.layer.T, out=out)
        drawn, lowest_kept = bits or (None, 0)
        size = 0 if drawn is None else drawn.dtype.itemsize
        self._run("rectify", out, weights.layer_bias, drawn, size, lowest_kept, shape=out.shape)

    def score(self, hidden: Tensor, weights: Weights, gates: Tensor, scores: Tensor) -> None:
        """Gate and score hidden patches [B, d], to ``gates`` [B, 2a] and ``scores`` [B]."""
        torch.mm(hidden, weights.gate.T, out=gates)
        shape = (len(gates), len(weights.score))
        self._run("gate", gates, weights.gate_bias, weights.score, scores, shape=shape)
        scores.add_(weights.score_bias)

    def pool(
        self, hidden: Tensor, weights: Tensor, bag: Tensor, totals: Tensor, sums: Tensor
    ) -> None:
        """Add hidden patches [B, d], weighted [B], and the weights to their bags [S, d], [S]."""
        sums.index_add_(0, bag, weights)
        self._run("pool", hidden, weights, bag, totals, len(totals), shape=hidden.shape)

    def through_pool(self, hidden: Tensor, pull: Pull) -> Tensor:
        """From the gradients of the bags to that of the scores, [B]."""
        d_scores = torch.empty_like(pull.attention)
        self._run("pool_back", hidden, *pull, d_scores, shape=hidden.shape)
        return d_scores

    def through_gate(
        self, gates: Tensor, weights: Weights, d_scores: Tensor, totals: Weights, out: Tensor
    ) -> None:
        """From the gradient of the scores [B] to that of the gate before its tanh [B, 2a]."""
        width = len(weights.score)
        sums = totals.score.new_zeros(3 * width)
        shape = (len(gates), width)
        self._run("gate_back", gates, weights.score, d_scores, out, sums, shape=shape)
        totals.gate_bias.add_(sums[: 2 * width])
        totals.score.add_(sums[2 * width :])

    def through_hidden(
        self,
        hidden: Tensor,
        weights: Weights,
        d_gates: Tensor,
        pull: Pull,
        totals: Weights,
        out: Tensor,
    ) -> None:
        """From the gradients of gate [B, 2a] and bags to that of the first product, [B, d]."""
        torch.mm(d_gates, weights.gate, out=out)
        arguments = (out, hidden, pull.attention, pull.bag, pull.towards, totals.layer_bias)
        self._run("rectify_back", *arguments, shape=out.shape)

    def add_products(
        self, totals: Sequence[Tensor], lefts: Sequence[Tensor], right: Tensor
    ) -> None:
        """Add ``left^T right`` to each total [d, F], for lefts [B, d] and their right [B, F]."""
        if "turn" not in self._kernels:
            super().add_products(totals, lefts, right)
            return
        # Matrix units want both factors row by row: products of a transposed factor run at half
        # the speed, and transposing the small one costs little. The lefts make one product, and
        # a row of the buffer is no power of two long, which would crowd one set of the cache; it
        # ends in zeros, because oneDNN reads on and multiplies what it finds by 0.
        widths = [left.shape[1] for left in lefts]
        turned = right.new_empty(sum(widths), len(right) + _PADDING)
        for part, left in zip(torch.split(turned, widths), lefts, strict=True):
            self._run("turn", left, part, turned.shape[1], shape=left.shape)
        product = turned[:, : len(right)] @ right
        for total, part in zip(totals, torch.split(product, widths), strict=True):
            self._run("add", part, total, shape=part.shape)

    def _run(self, name: str, *arguments: Tensor | int | None, shape: tuple[int, ...]) -> None:
        """Call a kernel on contiguous tensors; None is a null pointer."""
        assert all(a.is_contiguous() for a in arguments if isinstance(a, Tensor))
        values = (a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
        self._kernels[name](*values, *shape, torch.get_num_threads())
