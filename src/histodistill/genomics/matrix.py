"""What every reader returns: a matrix of samples x genes, as the file has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Layout = Literal["cbioportal", "xena", "gdc", "gct", "plain", "h5ad"]

MOST_CELLS = 200_000_000
"""Twenty thousand genes of ten thousand patients: more than any table has."""


@dataclass(frozen=True)
class SampleMatrix:
    """Values of one file before samples become patients and symbols become unique.

    Attributes:
        samples: Sample identifiers in the order of the file, possibly repeated.
        genes: Gene symbols in the order of the file, possibly repeated, empty where a row has none.
        array: float32 [n_samples, n_genes], NaN where the file has no value.
        patients: The patient of each sample where the file itself says so, else None.
        layout: The layout that the file has.
        notes: What the reader left out or assumed, one sentence each.
    """

    samples: list[str]
    genes: list[str]
    array: NDArray[np.float32]
    patients: list[str] | None = None
    layout: Layout = "plain"
    notes: tuple[str, ...] = ()
