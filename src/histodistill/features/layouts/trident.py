"""What TRIDENT and CLAM record beside `features` and `coords` in their HDF5 files.

TRIDENT writes ``features`` [n, F] or [1, n, F] (attribute ``encoder`` in later versions) and
``coords`` [n, 2] in level-0 pixels, whose attributes describe the tiling. CLAM writes the same two
datasets without attributes.
"""

from __future__ import annotations

from dataclasses import replace

import h5py

from histodistill.features.layouts.attributes import number, plain, text
from histodistill.features.slide import SlideFeatures

# TRIDENT defines magnification by resolution: 10x is 1 µm a pixel.
_UM_PER_PX_AT_1X = 10.0


def described(slide: SlideFeatures, h5: h5py.File) -> SlideFeatures:
    """Add what the file records about encoder and tiling."""
    tiling = plain(h5["coords"].attrs) if slide.coords_path else {}
    patch_px = number(tiling, "patch_size")
    magnification = number(tiling, "target_magnification")
    if patch_px is None or magnification is None:
        # CLAM's patch_size is in pixels of patch_level, whose resolution differs between slides.
        patch_px, patch_um = None, None
    else:
        patch_um = patch_px * _UM_PER_PX_AT_1X / magnification
    return replace(
        slide,
        layout="CLAM h5" if patch_um is None else "TRIDENT h5",
        encoder=text(plain(h5["features"].attrs), "encoder"),
        patch_um=patch_um,
        patch_px=None if patch_px is None else round(patch_px),
        coords_unit="level-0 px" if slide.coords_path else None,
        tiling=tiling,
        extraction=text(plain(h5.attrs), "extraction"),
    )
