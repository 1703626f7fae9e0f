"""Parts of a cohort: patients of different parts have no tile in common.

The labelled patients are divided at random into `n_folds` parts of like size; those without a
label are a part of their own, which only trains. Each class's tiles are divided among the parts
as the patients are, so that a model is never tested on tissue that it has seen, nor stopped by it.
Fold k tests part k, stops early and chooses its threshold on part k + 1, and trains on the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.files import whole_file
from histodistill.simulation.tiles.library import TileLibrary
from histodistill.simulation.tiles.settings import TileSettings
from histodistill.simulation.truth import Stream, generator


def patient_parts(settings: TileSettings, truth: pd.DataFrame) -> NDArray[np.int64]:
    """The part of each patient; that of patients without a label is number ``n_folds``.

    Args:
        settings: The cohort's settings.
        truth: The patients, from `draw_truth`.
    """
    rng = generator(settings, Stream.TILES, 0)
    # Not by class: slides must not hang on labels but through the latents.
    order = rng.permutation(len(truth))
    labelled = order[truth["HAS_LABEL"].to_numpy()[order]]
    parts = np.full(len(truth), settings.n_folds)
    parts[labelled] = np.arange(len(labelled)) % settings.n_folds
    return parts


def tile_pools(
    settings: TileSettings, library: TileLibrary, parts: NDArray[np.int64]
) -> list[list[NDArray[np.int64]]]:
    """The tiles that the patients of a part draw from, for each part and, in it, each class.

    Args:
        settings: The cohort's settings.
        library: The tiles.
        parts: Of the patients, from `patient_parts`.

    Raises:
        InputError: A class has too few tiles for the parts.
    """
    shares = np.bincount(parts, minlength=settings.n_folds + 1) / len(parts)
    pools: list[list[NDArray[np.int64]]] = [[] for _ in shares]
    problems = []
    for number, name in enumerate(library.classes):
        rng = generator(settings, Stream.TILES, 1, number)
        tiles = rng.permutation(np.flatnonzero(library.tissue == number))
        ends = np.rint(np.cumsum(shares) * len(tiles)).astype(int)
        divided = np.split(tiles, ends[:-1])
        for pool, own in zip(pools, divided, strict=True):
            pool.append(np.sort(own))
        if any(len(own) == 0 for own, share in zip(divided, shares, strict=True) if share):
            problems.append(
                f"The class {name} has {len(tiles)} tiles, too few for {np.count_nonzero(shares)} "
                "parts of the patients that have no tile in common; give it more tiles, or set "
                "fewer n_folds."
            )
    if problems:
        raise InputError(*problems)
    return pools


def write_folds(folder: Path, truth: pd.DataFrame, parts: NDArray[np.int64], n_folds: int) -> None:
    """Write ``splits_<k>.csv`` of every fold."""
    for fold in range(n_folds):
        with whole_file(folder / f"splits_{fold}.csv") as temporary:
            columns = dict(_columns(truth["PATIENT"], parts, fold, n_folds))
            pd.DataFrame(columns).to_csv(temporary, index=False, lineterminator="\n")


def _columns(
    patients: pd.Series[str], parts: NDArray[np.int64], fold: int, n_folds: int
) -> Iterator[tuple[str, pd.Series[str]]]:
    validation = (fold + 1) % n_folds
    labelled = parts < n_folds
    train = labelled & (parts != fold) & (parts != validation)
    for name, members in (("train", train), ("val", parts == validation), ("test", parts == fold)):
        yield name, patients[members].reset_index(drop=True)
