"""The feature file of one slide: HDF5 as TRIDENT writes it, with all that makes it trustworthy.

``features`` float16 ``[n, F]`` and ``coords`` int64 ``[n, 2]`` (level-0 px) carry TRIDENT's
attributes; the file's own attribute ``extraction`` holds the complete settings as JSON. There is
no time and no path in it: equal slides and settings give equal bytes.
"""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.extraction.settings import ExtractionSettings
from histodistill.gate.hdf5 import opened_h5
from histodistill.gate.records import damaged_record
from histodistill.gate.text import parse_json
from histodistill.hdf5_files import whole_h5
from histodistill.slides import Slide
from histodistill.tiling import PatchGrid

_SOFTWARE = ("histodistill", "torch", "openslide-python", "openslide-bin", "pillow", "timm")
# TRIDENT's convention: 10x is 1 µm a pixel.
_UM_PER_PX_AT_1X = 10.0


def write_features(
    path: Path,
    features: NDArray[np.float16],
    slide: Slide,
    slide_id: str,
    grid: PatchGrid,
    settings: ExtractionSettings,
    tissue_source: str,
) -> None:
    """Write the features of a slide, whole or not at all.

    Args:
        path: The ``.h5`` file.
        features: ``[n, F]``, in the order of the grid.
        slide: The slide, for its µm/px.
        slide_id: Its name.
        grid: The patches.
        settings: What the features were made with.
        tissue_source: ``segmented``, or the kind of file that the tissue came from.
    """
    with whole_h5(path, track_order=False) as h5:
        stored = h5.create_dataset("features", data=features, track_times=False)
        stored.attrs["name"] = slide_id
        stored.attrs["encoder"] = settings.encoder
        stored.attrs["weights_sha256"] = settings.weights_sha256
        coords = h5.create_dataset("coords", data=grid.coords, track_times=False)
        coords.attrs.update(_tiling_attributes(slide, slide_id, grid, tissue_source))
        h5.attrs["extraction"] = json.dumps(settings.to_dict(), sort_keys=True)
        h5.attrs["software"] = json.dumps(_software(), sort_keys=True)


def read_extraction_settings(path: Path) -> ExtractionSettings:
    """The settings that a feature file was made with.

    Raises:
        InputError: The file cannot be read, or was not written by this program.
    """
    try:
        with opened_h5(path) as h5:
            recorded = h5.attrs.get("extraction")
            complete = "features" in h5 and "coords" in h5
    except (OSError, InputError) as error:
        raise InputError(
            f"{path} is damaged ({error}); delete it, and it will be extracted again."
        ) from error
    if recorded is None or not complete:
        raise InputError(
            f"{path} was not written by 'histodistill extract'; it records no extraction settings."
        )
    try:
        return ExtractionSettings.from_dict(dict(parse_json(path, recorded)))
    except (ValueError, TypeError) as error:
        remedy = "delete it, and it will be extracted again"
        raise damaged_record(path, error, remedy) from error


def n_patches_in(path: Path) -> int:
    """How many patches a feature file holds."""
    with opened_h5(path) as h5:
        return int(h5["features"].shape[0])


def _tiling_attributes(
    slide: Slide, slide_id: str, grid: PatchGrid, tissue_source: str
) -> dict[str, str | int | float]:
    tiling = grid.settings
    return {
        "name": slide_id,
        "patch_size": tiling.patch_px,
        "patch_size_level0": grid.patch_size_level0,
        "level0_magnification": _plain(_UM_PER_PX_AT_1X / slide.mpp),
        "target_magnification": _plain(_UM_PER_PX_AT_1X / tiling.mpp),
        "overlap": round(tiling.patch_px * tiling.overlap),
        "mpp": tiling.mpp,
        "patch_um": tiling.patch_um,
        "level0_mpp": slide.mpp,
        "level0_mpp_source": slide.mpp_source,
        "level0_width": slide.dimensions[0],
        "level0_height": slide.dimensions[1],
        # QuPath counts from this corner, the coordinates here from the slide's own.
        "level0_bounds_x": slide.bounds[0],
        "level0_bounds_y": slide.bounds[1],
        "level0_bounds_width": slide.bounds[2],
        "level0_bounds_height": slide.bounds[3],
        "stride_level0": grid.stride_level0,
        "min_tissue": tiling.min_tissue,
        "tissue": tissue_source,
    }


def _plain(value: float) -> int | float:
    """TRIDENT's readers expect whole magnifications as integers."""
    return int(value) if value == int(value) else value


def _software() -> dict[str, str]:
    versions = {}
    for package in _SOFTWARE:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
