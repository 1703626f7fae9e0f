"""Patches read and decoded by threads ahead of the encoder, never more than a few batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from histodistill.slides import Slide
from histodistill.tiling import PatchGrid

Pixels = NDArray[np.uint8]

# Batches in memory at once: one in the encoder, the others being filled.
_BATCHES_AHEAD = 3
# Patches that a thread reads in one go.
_BLOCK = 8


def stream_batches(
    slide: Slide,
    grid: PatchGrid,
    prepare: Callable[[Pixels], Pixels],
    readers: ThreadPoolExecutor,
    batch_size: int,
    *,
    pinned: bool = False,
) -> Generator[tuple[Tensor, int], None, None]:
    """Batches of a slide's patches, in the order of the grid.

    Every batch has ``batch_size`` patches: the last is filled up with black ones, because the
    bits of a patch's features may depend on how many patches are encoded together.

    Args:
        slide: An open slide.
        grid: Its patches.
        prepare: What is done to a patch ``[H, W, 3]`` before it is encoded; it decides the size.
        readers: Threads that read.
        batch_size: Patches a batch.
        pinned: Whether batches lie in memory that a GPU copies from faster.

    Yields:
        A batch ``uint8 [batch_size, h, w, 3]`` and how many of its patches are real.

    Raises:
        InputError: The slide cannot be decoded somewhere.
    """
    reader = _Reader(slide, grid, prepare)
    shape = reader.read(0).shape
    starts = iter(range(0, len(grid), batch_size))
    window: deque[_Filling] = deque()

    def begin(start: int) -> _Filling:
        batch = torch.zeros((batch_size, *shape), dtype=torch.uint8, pin_memory=pinned)
        return _Filling(reader, batch, start, min(batch_size, len(grid) - start), readers)

    try:
        window.extend(begin(start) for start in islice(starts, _BATCHES_AHEAD))
        while window:
            filling = window.popleft()
            yield filling.finished(), filling.count
            window.extend(begin(start) for start in islice(starts, 1))
    finally:
        for filling in window:
            filling.cancel()


class _Reader:
    """One patch of a grid by its number."""

    def __init__(self, slide: Slide, grid: PatchGrid, prepare: Callable[[Pixels], Pixels]) -> None:
        self._slide = slide
        self._grid = grid
        self._prepare = prepare

    def read(self, number: int) -> Pixels:
        x, y = (int(each) for each in self._grid.coords[number])
        side = self._grid.patch_size_level0
        patch_px = self._grid.settings.patch_px
        return self._prepare(self._slide.read_region_rgb(x, y, side, side, (patch_px, patch_px)))


class _Filling:
    """A batch that threads are filling."""

    def __init__(
        self, reader: _Reader, batch: Tensor, start: int, count: int, readers: ThreadPoolExecutor
    ) -> None:
        self.count = count
        self._reader = reader
        self._batch = batch
        self._start = start
        blocks = range(0, count, _BLOCK)
        self._futures: list[Future[None]] = [readers.submit(self._fill, at) for at in blocks]

    def finished(self) -> Tensor:
        """The batch, once all its patches are there."""
        for future in self._futures:
            future.result()
        return self._batch

    def cancel(self) -> None:
        """Stop what has not begun and wait for what has."""
        for future in self._futures:
            if not future.cancel():
                future.exception()

    def _fill(self, first: int) -> None:
        pixels = self._batch.numpy()
        for at in range(first, min(first + _BLOCK, self.count)):
            pixels[at] = self._reader.read(self._start + at)
