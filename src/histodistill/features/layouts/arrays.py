"""Features in NumPy files: a plain array in ``.npy``, slide2vec's ``features`` in ``.npz``."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from histodistill.features.layouts import slide2vec
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    damaged,
    feature_dtype,
    patches_of,
    reading,
    unknown_layout,
)
from histodistill.gate.archives import require_plausible_zip


def inspect(path: Path) -> SlideFeatures:
    """Describe a NumPy feature file from its header.

    Raises:
        InputError: The file is damaged, of no known layout, or not a bag of patch features.
    """
    archive = zipfile.is_zipfile(path)
    shape, dtype = _archive_header(path) if archive else _array_header(path)
    n_patches, width = bag_shape(path, shape)
    slide = SlideFeatures(
        path=path,
        layout="NumPy array",
        n_patches=n_patches,
        width=width,
        dtype=dtype,
    )
    return slide2vec.described(slide) if archive else slide


def read_patches(path: Path, rows: NDArray[np.int64] | None) -> torch.Tensor:
    """Read the patches [n, F], or those of the given rows."""
    with reading(path):
        stored = np.load(path, allow_pickle=False, mmap_mode=None if rows is None else "r")
        if isinstance(stored, np.ndarray):
            return patches_of(stored if rows is None else stored[..., rows, :])
        with stored:
            features = stored["features"]
        return patches_of(features if rows is None else features[..., rows, :])


def read_coords(slide: SlideFeatures) -> NDArray[np.generic] | None:
    """Read the coordinates [n, 2] (x, y) in level-0 pixels that slide2vec wrote."""
    return None if slide.coords_path is None else slide2vec.read_coords(slide.coords_path)


def _array_header(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of an .npy file that is as long as its header says."""
    with reading(path), path.open("rb") as stream:
        shape, dtype = _header(stream)
        expected = stream.tell() + math.prod(shape) * dtype.itemsize
    name = feature_dtype(path, dtype.name)
    if path.stat().st_size != expected:
        raise damaged(path, f"{path.stat().st_size} bytes instead of {expected}")
    return shape, name


def _archive_header(path: Path) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of `features` in an .npz file, without unpacking it."""
    with reading(path):
        require_plausible_zip(path)
    with reading(path), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
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
