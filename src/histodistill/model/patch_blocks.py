"""The patches of a batch in blocks of rows that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from histodistill.model.batch import Bags
from histodistill.model.patch_steps import PatchSteps

# Rows of a block. On a CPU its patches and all that is made of them must stay in the caches,
# and calling an operation must cost little beside running it: a product in a type of two bytes,
# which may run many times faster, needs more rows. A GPU wants them large.
CPU_ROWS = 1024
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
        self._stored = bags.stored
        self._ends = list(accumulate(bags.sizes))
        self._mean = None if bags.scaler is None else bags.scaler.mean.to(bags.stored.device)
        self.dtype = dtype
        self.steps = steps
        self.n_bags = len(bags.sizes)
        self.n_patches = len(bags.stored)
        self.n_rows = min(self.n_patches, block_rows(bags.stored.device, dtype))

    def empty(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """An uninitialised tensor where the patches are."""
        return torch.empty(shape, dtype=dtype or self.dtype, device=self._stored.device)

    def __iter__(self) -> Iterator[Block]:
        device = self._stored.device
        ends = torch.tensor(self._ends, device=device)
        place = torch.arange(self.n_patches, device=device)
        bag_of_patch = torch.bucketize(place, ends, right=True)
        buffer = self.empty(self.n_rows, self._stored.shape[1])
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
                bag_of_patch[rows] - first_bag,
            )

    def _widened(self, rows: slice, buffer: Tensor) -> Tensor:
        """The patches of some rows in the type of the buffer, less their mean."""
        stored = self._stored[rows]
        if self._mean is None and stored.dtype is self.dtype:
            return stored
        self.steps.widen(stored, self._mean, buffer)
        return buffer
