"""slide2vec's features, with the metadata and the coordinates that it writes beside them.

``tile_embeddings/<id>.pt`` (or ``.npz``) comes with ``<id>.meta.json`` and
``tiles/<id>.coordinates.npz`` (arrays ``x`` and ``y``, level-0 pixels). Earlier versions wrote
``features/<id>.pt`` or ``<id>-tiles.pt`` and ``coordinates/<id>.npz`` or ``.npy``, the latter one
structured array with fields ``x`` and ``y``. Classes of an annotation have a folder each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts.arrays import NumPyArray
from histodistill.features.layouts.attributes import Attributes, number, plain, text
from histodistill.features.layouts.base import FeatureLayout
from histodistill.features.layouts.pytorch import PyTorchTensor, is_tensor_file
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import SlideFeatures, damaged, reading
from histodistill.gate.plain import require_regular
from histodistill.gate.text import read_json

if TYPE_CHECKING:
    from torch import Tensor

_COORDS_FOLDERS = ("tiles", "coordinates")
_ARCHIVES = (".coordinates.npz", ".tiles.npz", ".npz")


@LAYOUTS.declare(
    "slide2vec",
    text="slide2vec .pt or .npz (features) with its coordinates",
    suffixes=(".pt", ".npz"),
    starts=(b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF"),
    beside=(
        "*.coordinates.npz",
        "*.tiles.npz",
        "tiles/*.npz",
        "tiles/*.npy",
        "coordinates/*.npz",
        "coordinates/*.npy",
    ),
    coordinates="beside",
)
class Slide2vec(FeatureLayout):
    """A tensor or an array of features, with metadata or coordinates beside it."""

    def inspect(self, path: Path) -> SlideFeatures | None:
        """Describe features and what lies beside them; None where nothing does.

        Raises:
            InputError: The metadata are unreadable or describe an embedding of the whole slide;
                the coordinates are unreadable or not as many as the patches.
        """
        if not any(each.is_file() for each in self.companions(path)):
            return None
        slide = _container(path).inspect(path)
        return None if slide is None else _described(slide)

    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> NDArray[Any] | Tensor:
        """Read the patches, or those of the given rows."""
        return _container(path).read_patches(path, rows)

    def read_coords(self, slide: SlideFeatures) -> NDArray[np.generic] | None:
        """Read the coordinates in level-0 pixels."""
        if slide.coords_path is None:
            return None
        coords = _xy(slide.coords_path)
        if coords is None:
            raise damaged(slide.coords_path, "no x and y inside")
        return coords

    def companions(self, path: Path) -> Iterator[Path]:
        """Where metadata and coordinates may lie."""
        yield _sidecar(path)
        yield from _candidates(path)


def _container(path: Path) -> FeatureLayout:
    return PyTorchTensor() if is_tensor_file(path) else NumPyArray()


def _described(slide: SlideFeatures) -> SlideFeatures | None:
    """Add what the files beside the features record; None where they record nothing."""
    metadata = _metadata(slide.path)
    coords_path = _find_coords(slide)
    if metadata is None and coords_path is None:
        return None
    recorded = metadata or {}
    requested_px = number(recorded, "requested_tile_size_px")
    spacing_um = number(recorded, "requested_spacing_um")
    return replace(
        slide,
        encoder=text(recorded, "encoder_name"),
        patch_um=requested_px * spacing_um if requested_px and spacing_um else None,
        patch_px=None if requested_px is None else round(requested_px),
        coords_unit=None if coords_path is None else "level-0 px",
        coords_path=coords_path,
        tiling=recorded,
    )


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.stem}.meta.json")


def _metadata(path: Path) -> Attributes | None:
    sidecar = _sidecar(path)
    if not sidecar.is_file():
        return None
    with reading(sidecar):
        recorded = read_json(sidecar)
    metadata = plain(recorded) if isinstance(recorded, dict) else {}
    kind = text(metadata, "artifact_type") or "tile_embeddings"
    if kind != "tile_embeddings":
        raise InputError(f"{path} holds slide2vec {kind}; give the tile_embeddings instead.")
    return metadata


def _find_coords(slide: SlideFeatures) -> Path | None:
    """The coordinates of a feature file: in its own folder, or in a folder beside it."""
    for candidate in _candidates(slide.path):
        coords = _xy(candidate) if candidate.is_file() else None
        if coords is not None and len(coords) != slide.n_patches:
            raise InputError(
                f"{slide.path} holds {slide.n_patches} patches, its coordinates {candidate} are "
                f"{len(coords)}: the two files are not of the same run."
            )
        if coords is not None:
            return candidate
    return None


def _candidates(path: Path) -> Iterator[Path]:
    run, annotation = path.parent.parent, path.parent.name
    beside = [run / name for name in _COORDS_FOLDERS]
    beside += [run.parent / name / annotation for name in _COORDS_FOLDERS]
    stems = dict.fromkeys((path.stem, path.stem.removesuffix("-tiles")))
    for folder in [path.parent, *(folder for folder in beside if folder.is_dir())]:
        # An .npy next to the features would be features too.
        suffixes = (*_ARCHIVES, ".npy") if folder != path.parent else _ARCHIVES
        names = (f"{stem}{suffix}" for stem in stems for suffix in suffixes)
        yield from (folder / name for name in names if folder / name != path)


def _xy(path: Path) -> NDArray[np.int64] | None:
    """Coordinates [n, 2] of a file that holds x and y; None if it holds something else."""
    with reading(path):
        require_regular(path)
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.ndarray):
            return _stacked({name: stored[name] for name in stored.dtype.names or ()})
        with stored:
            return _stacked({name: stored[name] for name in ("x", "y") if name in stored.files})


def _stacked(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.int64] | None:
    if "x" not in arrays or "y" not in arrays:
        return None
    return np.stack([arrays["x"], arrays["y"]], axis=1).astype(np.int64)
