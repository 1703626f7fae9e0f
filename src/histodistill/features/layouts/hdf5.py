"""Features and coordinates as two datasets of one HDF5 file: what TRIDENT, CLAM and STAMP share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts.base import FeatureLayout
from histodistill.features.slide import SlideFeatures, bag_shape, feature_dtype, reading
from histodistill.gate.hdf5 import dataset, opened_h5

# Reading row by row costs about as much as reading everything once 1 row in 8 is wanted.
_FEW_ROWS = 8


class HDF5Layout(FeatureLayout):
    """A dataset of features [n, F] or [1, n, F], and one of coordinates [n, 2].

    Attributes:
        features: Name of the dataset of features.
    """

    features: ClassVar[str]

    @abstractmethod
    def is_own(self, path: Path, h5: h5py.File) -> bool:
        """Whether an open file is of this layout."""

    @abstractmethod
    def described(self, slide: SlideFeatures, h5: h5py.File) -> SlideFeatures:
        """Add what the file records about encoder and tiling."""

    def inspect(self, path: Path) -> SlideFeatures | None:
        """Describe a file from its header."""
        with opened(path) as h5:
            if not self.is_own(path, h5):
                return None
            stored = h5[self.features]
            n_patches, width = bag_shape(path, stored.shape)
            slide = SlideFeatures(
                path=path,
                n_patches=n_patches,
                width=width,
                dtype=feature_dtype(path, stored.dtype.name),
                coords_path=path if _has_coords(path, h5, n_patches) else None,
            )
            return self.described(slide, h5)

    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> NDArray[Any]:
        """Read the patches, or those of the given increasing rows."""
        with opened(path) as h5:
            stored = dataset(path, h5, self.features)
            if stored is None:
                raise InputError(f"{path} has changed since it was inspected; start again.")
            if rows is not None and rows.size * _FEW_ROWS < stored.shape[-2]:
                few: NDArray[Any] = stored[..., rows, :]
                return few
            patches: NDArray[Any] = stored[:]
        return patches if rows is None else patches[..., rows, :]

    def read_coords(self, slide: SlideFeatures) -> NDArray[np.generic] | None:
        """Read the coordinates as they are stored."""
        if slide.coords_path is None:
            return None
        with opened(slide.path) as h5:
            coords: NDArray[np.generic] = h5["coords"][:].reshape(-1, 2)
            return coords


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open, and close again; whatever HDF5 cannot read is an InputError."""
    with reading(path), opened_h5(path) as h5:
        yield h5


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
