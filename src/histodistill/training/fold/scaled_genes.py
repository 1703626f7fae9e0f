"""Scaled genes, made once for all the methods, seeds and networks of a fold."""

from __future__ import annotations

from collections import OrderedDict

import pandas as pd

from histodistill.genomics import GenomicPreprocessor
from histodistill.preparation.transforms import scaled_block

# All folds of a run together: 20,000 genes of 1,000 patients are 80 MB a fold and block.
_MOST_BYTES = 2**30


class ScaledGenes:
    """Blocks as fitted preprocessors scale them, kept as far as memory allows.

    Where there is no more room, those that were asked for longest ago go, and are made again
    when they are needed.

    Args:
        most_bytes: Size of all that is kept; the latest block is kept whatever its size.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        # With what they were made of, so that the ids stay their own.
        self._kept: OrderedDict[
            tuple[int, int], tuple[GenomicPreprocessor, pd.DataFrame, pd.DataFrame]
        ] = OrderedDict()

    def of(self, block: GenomicPreprocessor, table: pd.DataFrame) -> pd.DataFrame:
        """Scaled genes, float32 [n, K], of all patients of a table [n, genes]."""
        key = id(block), id(table)
        if key not in self._kept:
            self._kept[key] = block, table, scaled_block(block, table)
        self._kept.move_to_end(key)
        self._make_room()
        return self._kept[key][2]

    def _make_room(self) -> None:
        while len(self._kept) > 1 and self._size() > self._most_bytes:
            self._kept.popitem(last=False)

    def _size(self) -> int:
        return sum(scaled.to_numpy().nbytes for _, _, scaled in self._kept.values())
