"""The patches of a batch in blocks of rows that stay in the cache."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from histodistill.model.batch import Bags
from histodistill.model.pooling.steps import PatchSteps

# Rows of a block. On a CPU its patches and all that is made of them must stay in the caches,
# and calling an operation must cost little beside running it: a product in a type of two bytes,
# which may run many times faster, needs more rows. A GPU wants them large.
CPU_ROWS = 2048
NARROW = 4  # times as many
GPU_ROWS = 65_536


def block_rows(device: torch.device, dtype: torch.dtype) -> int:
    """Rows of a block on a device, for products of a type."""
    if device.type != "cpu":
        return GPU_ROWS
    return CPU_ROWS if dtype.itemsize > 2 else CPU_ROWS * NARROW


@dataclass(frozen=True)
class Block:
    """Some consecutive patches and the bags that they belong to.

    Attributes:
        patches: Patches, less their mean where they are standardised, [B, F]; overwritten when
            the next block is asked for.
        rows: Which of all the patches they are.
        bags: Which bags they belong to.
        bag: Which of those bags, from 0, each patch belongs to, [B] int64.
    """

    patches: Tensor
    rows: slice
    bags: slice
    bag: Tensor


class PatchBlocks:
    """Walks over the patches of some bags, widening each block in the same small buffer.

    Bags and blocks are independent of each other: a block may hold many bags, a bag may fill
    many blocks.

    Args:
        bags: Bags, each with at least one patch.
        dtype: Type that the patches are widened to.
        steps: Widens them.
    """

    def __init__(self, bags: Bags, dtype: torch.dtype, steps: PatchSteps) -> None:
        self._parts = bags.parts
        self._part_ends = list(accumulate(len(part) for part in bags.parts))
        self._ends = list(accumulate(bags.sizes))
        self._sizes = bags.sizes
        self._device = bags.parts[0].device
        self._mean = None if bags.scaler is None else bags.scaler.mean.to(self._device)
        self.dtype = dtype
        self.steps = steps
        self.n_bags = len(bags.sizes)
        self.n_patches = sum(bags.sizes)
        self.n_rows = min(self.n_patches, block_rows(self._device, dtype))

    def empty(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """An uninitialised tensor where the patches are."""
        return torch.empty(shape, dtype=dtype or self.dtype, device=self._device)

    @cached_property
    def bag_of_patch(self) -> Tensor:
        """Which bag each patch belongs to, [P] int64."""
        sizes = torch.tensor(self._sizes, device=self._device)
        return torch.repeat_interleave(sizes, output_size=self.n_patches)

    def __iter__(self) -> Iterator[Block]:
        buffer = self.empty(self.n_rows, self._parts[0].shape[1])
        first_bag = 0
        for start in range(0, self.n_patches, self.n_rows):
            stop = min(start + self.n_rows, self.n_patches)
            while self._ends[first_bag] <= start:
                first_bag += 1
            last_bag = first_bag
            while self._ends[last_bag] < stop:
                last_bag += 1
            rows, bags = slice(start, stop), slice(first_bag, last_bag + 1)
            yield Block(
                self._widened(rows, buffer[: stop - start]),
                rows,
                bags,
                self.bag_of_patch[rows] - first_bag,
            )

    def _widened(self, rows: slice, buffer: Tensor) -> Tensor:
        """The patches of some rows in the type of the buffer, less their mean."""
        pieces = self._pieces(rows)
        if len(pieces) == 1 and self._mean is None and pieces[0].dtype is self.dtype:
            return pieces[0]
        first = 0
        for piece in pieces:
            self.steps.widen(piece, self._mean, buffer[first : first + len(piece)])
            first += len(piece)
        return buffer

    def _pieces(self, rows: slice) -> list[Tensor]:
        """The stored patches of some rows, from the parts that they lie in."""
        pieces, number = [], bisect_right(self._part_ends, rows.start)
        start = rows.start
        while start < rows.stop:
            part, end = self._parts[number], self._part_ends[number]
            stop = min(end, rows.stop)
            pieces.append(part[len(part) - (end - start) : len(part) - (end - stop)])
            start, number = stop, number + 1
        return pieces
