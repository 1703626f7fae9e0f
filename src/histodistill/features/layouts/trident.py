"""TRIDENT's HDF5 files, in whose layout ``histodistill extract`` writes as well.

``features`` [n, F] or [1, n, F] (attribute ``encoder`` in later versions) and ``coords`` [n, 2] in
level-0 pixels, whose attributes describe the tiling.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py

from histodistill.features.layouts.attributes import number, plain
from histodistill.features.layouts.clam import CLAM
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import SlideFeatures
from histodistill.gate.hdf5 import dataset

# TRIDENT defines magnification by resolution: 10x is 1 µm a pixel.
_UM_PER_PX_AT_1X = 10.0


@LAYOUTS.declare(
    "trident",
    text="TRIDENT h5 (features, coords and their attributes)",
    source="Zhang 2025, arXiv",
    suffixes=(".h5", ".hdf5"),
    starts=(b"\x89HDF\r\n\x1a\n",),
    coordinates="within",
)
class TRIDENT(CLAM):
    """CLAM's two datasets, with the size of a patch and its magnification recorded."""

    def is_own(self, path: Path, h5: h5py.File) -> bool:
        """Whether a size in µm follows from what is recorded beside the coordinates."""
        if any(dataset(path, h5, name) is None for name in (self.features, "coords")):
            return False
        return _patch_px_and_um(h5) is not None

    def described(self, slide: SlideFeatures, h5: h5py.File) -> SlideFeatures:
        """Add the size of a patch to what CLAM's layout records."""
        px, um = _patch_px_and_um(h5) or (None, None)
        recorded = super().described(slide, h5)
        return replace(recorded, patch_um=um, patch_px=None if px is None else round(px))


def _patch_px_and_um(h5: h5py.File) -> tuple[float, float] | None:
    """Edge of a patch in pixels and in µm, where both are recorded."""
    tiling = plain(h5["coords"].attrs)
    px, magnification = number(tiling, "patch_size"), number(tiling, "target_magnification")
    if px is None or magnification is None:
        return None
    return px, px * _UM_PER_PX_AT_1X / magnification
