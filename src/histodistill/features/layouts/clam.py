"""CLAM's HDF5 files, and any others with ``features`` and ``coords``.

CLAM writes ``features`` [n, F] and ``coords`` [n, 2] in level-0 pixels. Its ``patch_size`` is in
pixels of ``patch_level``, whose resolution differs between slides, so no size in µm follows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py

from histodistill.features.layouts.attributes import plain, text
from histodistill.features.layouts.hdf5 import HDF5Layout
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import SlideFeatures, damaged, unknown_layout
from histodistill.gate.hdf5 import contents, dataset
from histodistill.gate.text import parse_json


@LAYOUTS.declare(
    "clam",
    text="CLAM h5 (features, coords)",
    source="Lu 2021, Nature Biomedical Engineering",
    suffixes=(".h5", ".hdf5"),
    starts=(b"\x89HDF\r\n\x1a\n",),
    coordinates="within",
    asked_last=True,
)
class CLAM(HDF5Layout):
    """``features`` and ``coords``, whatever else is recorded."""

    features = "features"

    def is_own(self, path: Path, h5: h5py.File) -> bool:
        """Always: other HDF5 files are of no layout that any other has recognised.

        Raises:
            InputError: It holds no features; says what it holds.
        """
        if dataset(path, h5, self.features) is None:
            raise unknown_layout(path, contents(h5))
        return True

    def described(self, slide: SlideFeatures, h5: h5py.File) -> SlideFeatures:
        """Add the encoder, the tiling and the settings of an extraction, where recorded."""
        return replace(
            slide,
            encoder=text(plain(h5[self.features].attrs), "encoder"),
            coords_unit="level-0 px" if slide.coords_path else None,
            tiling=plain(h5["coords"].attrs) if slide.coords_path else {},
            extraction=_extraction(slide.path, h5),
        )


def _extraction(path: Path, h5: h5py.File) -> str | None:
    """The settings that `histodistill extract` recorded, as JSON.

    Raises:
        InputError: They cannot be read.
    """
    recorded = text(plain(h5.attrs), "extraction")
    if recorded is None:
        return None
    try:
        settings = parse_json(path, recorded)
    except ValueError as error:
        raise damaged(path, f"its extraction settings: {error}") from error
    if not isinstance(settings, dict):
        raise damaged(path, "its extraction settings are no mapping")
    return recorded
