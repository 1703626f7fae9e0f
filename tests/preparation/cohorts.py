"""Small bags and genes in memory, for patients a to h."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histodistill.features import BagStore, open_bags
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.genomics.selection import SelectionMethod

WIDTH = 3
WITH_SLIDES = list("abcdef")
SIZES = {patient: 2 + place for place, patient in enumerate(WITH_SLIDES)}


def store(folder: Path, bags: Mapping[str, np.ndarray] | None = None) -> BagStore:
    """A store of the given bags; of six random ones if none are given."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    drawn = {p: rng.normal(size=(n, WIDTH)).astype("float32") for p, n in SIZES.items()}
    paths = {}
    for patient, bag in (bags or drawn).items():
        paths[patient] = [folder / f"{patient}.npy"]
        np.save(paths[patient][0], bag)
    return open_bags(paths)


def table(patients: str, n_genes: int = 5, seed: int = 1, prefix: str = "G") -> pd.DataFrame:
    """Random genes, patients x genes."""
    values = np.random.default_rng(seed).normal(3, 2, size=(len(patients), n_genes))
    genes = [f"{prefix}{number}" for number in range(n_genes)]
    return pd.DataFrame(values.astype("float32"), index=list(patients), columns=genes)


def preprocessor(method: SelectionMethod = "all", **settings: Any) -> GenomicPreprocessor:
    """An unfitted preprocessor of a block called mrna."""
    return GenomicPreprocessor(
        selection=SelectionSettings(**{"method": method, "n_genes": None} | settings), block="mrna"
    )
