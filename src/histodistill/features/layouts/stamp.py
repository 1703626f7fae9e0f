"""STAMP's HDF5 files, from version 1 on.

``feats`` [n, F] float16 and ``coords`` [n, 2], file attributes ``extractor``, ``unit`` and
``tile_size_um`` (2.1 and later) or ``tile_size`` (2.0). Version 1 recorded the extractor alone:
its coordinates are pixels of tiles of 224 px that cover 256 µm.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts.attributes import Attributes, number, plain, text
from histodistill.features.layouts.hdf5 import HDF5Layout, opened
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import CoordsUnit, SlideFeatures
from histodistill.gate.hdf5 import dataset

_V1_TILE_PX = 224
_V1_TILE_UM = 256.0
_UNIT_ATTRIBUTES = {"unit", "tile_size_um", "tile_size"}


class _Tiling(NamedTuple):
    tile_um: float | None
    tile_px: int | None
    unit: CoordsUnit | None
    um_per_unit: float


@LAYOUTS.declare(
    "stamp",
    text="STAMP h5 (feats, coords)",
    source="El Nahhas 2024, Nature Protocols",
    suffixes=(".h5",),
    starts=(b"\x89HDF\r\n\x1a\n",),
    coordinates="within",
)
class STAMP(HDF5Layout):
    """``feats`` and ``coords``, with the extractor and the tile size as attributes of the file."""

    features = "feats"

    def is_own(self, path: Path, h5: h5py.File) -> bool:
        """Whether there are ``feats``.

        Raises:
            InputError: They are STAMP's embeddings of slides or patients.
        """
        if dataset(path, h5, self.features) is None:
            return False
        _require_tiles(path, plain(h5.attrs))
        return True

    def described(self, slide: SlideFeatures, h5: h5py.File) -> SlideFeatures:
        """Add what the file records about extractor and tiling."""
        attributes = plain(h5.attrs)
        guess_unit = slide.coords_path is not None and not _UNIT_ATTRIBUTES & attributes.keys()
        coords = h5["coords"][:].reshape(-1, 2) if guess_unit else None
        tiling = _tiling(attributes, coords)
        return replace(
            slide,
            encoder=text(attributes, "extractor") or text(attributes, "encoder"),
            patch_um=tiling.tile_um,
            patch_px=tiling.tile_px,
            coords_unit=tiling.unit if slide.coords_path else None,
            tiling=attributes,
        )

    def read_coords(self, slide: SlideFeatures) -> NDArray[np.generic] | None:
        """Read coordinates in µm (version 1's pixels converted), or as stored in unknown units."""
        coords = super().read_coords(slide)
        if coords is None:
            return None
        with opened(slide.path) as h5:
            attributes = plain(h5.attrs)
        return coords.astype(np.float64) * _tiling(attributes, coords).um_per_unit


def _require_tiles(path: Path, attributes: Attributes) -> None:
    """Refuse STAMP's slide and patient embeddings."""
    encoded = "feat_type" not in attributes and "encoder" in attributes
    kind = text(attributes, "feat_type") or ("slide" if encoded else "tile")
    if kind != "tile":
        raise InputError(
            f"{path} holds STAMP features of a whole {kind}, not of its tiles; give the files that "
            "`stamp preprocess` wrote."
        )


def _tiling(attributes: Attributes, coords: NDArray[np.generic] | None) -> _Tiling:
    tile_px = number(attributes, "tile_size_px")
    tile_um = number(attributes, "tile_size_um")
    if tile_um is None and attributes.get("unit") == "um":
        tile_um = number(attributes, "tile_size")
    if tile_um is not None:
        return _Tiling(tile_um, None if tile_px is None else round(tile_px), "µm", 1.0)
    if "unit" not in attributes and _stride(attributes, coords) == _V1_TILE_PX:
        return _Tiling(_V1_TILE_UM, _V1_TILE_PX, "µm", _V1_TILE_UM / _V1_TILE_PX)
    return _Tiling(None, None if tile_px is None else round(tile_px), None, 1.0)


def _stride(attributes: Attributes, coords: NDArray[np.generic] | None) -> int | None:
    """Version 1's tile size: recorded, or the smallest distance between two columns or rows."""
    recorded = number(attributes, "tile_size")
    if recorded is not None:
        return round(recorded)
    if coords is None:
        return None
    steps = [np.diff(np.unique(axis)) for axis in coords.astype(np.float64).T]
    smallest = [step.min() for step in steps if step.size]
    return round(float(min(smallest))) if smallest else None
