"""NumPy files: a plain array in ``.npy``, or ``features`` in ``.npz``."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from histodistill.features.layouts.base import FeatureLayout
from histodistill.features.layouts.pytorch import is_of_pytorch
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    damaged,
    feature_dtype,
    reading,
    unknown_layout,
)
from histodistill.gate.archives import require_plausible_zip


@LAYOUTS.declare(
    "numpy",
    text="NumPy .npy (one array) or .npz (features)",
    suffixes=(".npz", ".npy"),
    starts=(b"\x93NUMPY", b"PK\x03\x04"),
    asked_last=True,
)
class NumPyArray(FeatureLayout):
    """One array, or the array ``features`` of an archive."""

    def inspect(self, path: Path) -> SlideFeatures | None:
        """Describe a file from its header; None for other archives of PyTorch."""
        found = _archive_header(path) if zipfile.is_zipfile(path) else _array_header(path)
        if found is None:
            return None
        shape, dtype = found
        n_patches, width = bag_shape(path, shape)
        return SlideFeatures(path=path, n_patches=n_patches, width=width, dtype=dtype)

    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> NDArray[Any]:
        """Read the patches, or those of the given rows."""
        with reading(path):
            stored = np.load(path, allow_pickle=False, mmap_mode=None if rows is None else "r")
            if isinstance(stored, np.ndarray):
                return stored if rows is None else np.asarray(stored[..., rows, :])
            with stored:
                features: NDArray[Any] = stored["features"]
            return features if rows is None else features[..., rows, :]


def _array_header(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of an .npy file that is as long as its header says."""
    with reading(path), path.open("rb") as stream:
        shape, dtype = _header(stream)
        expected = stream.tell() + math.prod(shape) * dtype.itemsize
    name = feature_dtype(path, dtype.name)
    if path.stat().st_size != expected:
        raise damaged(path, f"{path.stat().st_size} bytes instead of {expected}")
    return shape, name


def _archive_header(path: Path) -> tuple[tuple[int, ...], str] | None:
    """Shape and dtype of `features` in an .npz file, not unpacked; None for one of PyTorch."""
    with reading(path):
        require_plausible_zip(path)
    with reading(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        if is_of_pytorch(names):
            return None
        if "features.npy" not in names:
            raise unknown_layout(path, [name.removesuffix(".npy") for name in names])
        with archive.open("features.npy") as stream:
            shape, dtype = _header(stream)
            expected = stream.tell() + math.prod(shape) * dtype.itemsize
        name = feature_dtype(path, dtype.name)
        if archive.getinfo("features.npy").file_size != expected:
            raise damaged(path, f"features of the shape {list(shape)} have {expected:,} bytes")
    return shape, name


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    if npy.read_magic(stream) == (1, 0):
        shape, _, dtype = npy.read_array_header_1_0(stream)
    else:
        shape, _, dtype = npy.read_array_header_2_0(stream)
    return shape, dtype
