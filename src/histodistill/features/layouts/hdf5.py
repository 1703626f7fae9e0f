"""Features in HDF5 files: TRIDENT, CLAM and STAMP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts import stamp, trident
from histodistill.features.layouts.attributes import plain
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    feature_dtype,
    patches_of,
    reading,
    unknown_layout,
)
from histodistill.gate.hdf5 import contents, dataset, opened_h5

# Reading row by row costs about as much as reading everything once 1 row in 8 is wanted.
_FEW_ROWS = 8


def inspect(path: Path) -> SlideFeatures:
    """Describe an HDF5 feature file from its header.

    Raises:
        InputError: The file is damaged, of no known layout, or not a bag of patch features.
    """
    with _opened(path) as h5:
        name = _features_name(path, h5)
        if name == "feats":
            stamp.require_tiles(path, plain(h5.attrs))
        n_patches, width = bag_shape(path, h5[name].shape)
        slide = SlideFeatures(
            path=path,
            layout="",
            n_patches=n_patches,
            width=width,
            dtype=feature_dtype(path, h5[name].dtype.name),
            coords_path=path if _has_coords(path, h5, n_patches) else None,
        )
        return stamp.described(slide, h5) if name == "feats" else trident.described(slide, h5)


def read_patches(path: Path, rows: NDArray[np.int64] | None) -> torch.Tensor:
    """Read the patches [n, F], or those of the given increasing rows."""
    with _opened(path) as h5:
        stored = h5[_features_name(path, h5)]
        if rows is not None and rows.size * _FEW_ROWS < stored.shape[-2]:
            return patches_of(stored[..., rows, :])
        patches = patches_of(stored[:])
    return patches if rows is None else patches[torch.from_numpy(rows)]


def read_coords(slide: SlideFeatures) -> NDArray[np.generic] | None:
    """Read the coordinates [n, 2] (x, y) in ``slide.coords_unit``."""
    if slide.coords_path is None:
        return None
    with _opened(slide.path) as h5:
        coords: NDArray[np.generic] = h5["coords"][:].reshape(-1, 2)
        return stamp.scaled(coords, plain(h5.attrs)) if "feats" in h5 else coords


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """Open, and close again; whatever HDF5 cannot read is an InputError."""
    with reading(path), opened_h5(path) as h5:
        yield h5


def _features_name(path: Path, h5: h5py.File) -> str:
    """Name of the dataset that holds the features: STAMP's or TRIDENT's and CLAM's."""
    for name in ("feats", "features"):
        if dataset(path, h5, name) is not None:
            return name
    raise unknown_layout(path, contents(h5))


def _has_coords(path: Path, h5: h5py.File, n_patches: int) -> bool:
    """Whether there are coordinates; they must be one (x, y) a patch."""
    coords = dataset(path, h5, "coords")
    if coords is None:
        return False
    if coords.shape not in ((n_patches, 2), (1, n_patches, 2)):
        raise InputError(
            f"{path} holds {n_patches} feature rows but coordinates of shape "
            f"{list(coords.shape)}: it is no bag of patches (an embedding of the whole slide?), or "
            "it was written only in part."
        )
    return True
