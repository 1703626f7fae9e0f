"""Recognise feature files by their content, and read them."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.features.layouts import arrays, hdf5, pytorch, slide2vec
from histodistill.features.slide import KNOWN_LAYOUTS, SlideFeatures, damaged, reading
from histodistill.gate.plain import opened

# How a tensor file of PyTorch before 1.6 starts: the pickle of a magic number.
_TORCH_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF"


class Container(Protocol):
    """What a module that reads one container format offers."""

    def inspect(self, path: Path) -> SlideFeatures:
        """Describe a file from its header."""

    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> torch.Tensor:
        """Read the patches [n, F], or those of the given increasing rows."""

    def read_coords(self, slide: SlideFeatures) -> NDArray[np.generic] | None:
        """Read the coordinates [n, 2] (x, y), or None where there are none."""


def inspect(path: Path) -> SlideFeatures:
    """Describe the patch features of one slide; reads the file's header only.

    Args:
        path: A feature file of TRIDENT, CLAM, STAMP or slide2vec, or a NumPy array. Its content
            decides, not its suffix.

    Returns:
        What the file says of itself.

    Raises:
        InputError: The file is missing, damaged, of no known layout, or not a bag of patches.
    """
    path = Path(path)
    return _container(path).inspect(path)


def read_patches(
    slide: SlideFeatures,
    rows: NDArray[np.int64] | None = None,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Read the patches of a slide.

    Args:
        slide: An inspected feature file.
        rows: Increasing row numbers to read; all rows by default.
        dtype: What the values become; by default the stored dtype (float64 becomes float32).

    Returns:
        Tensor [n, F].

    Raises:
        InputError: The file is damaged, has changed since it was inspected, or holds NaN or
            infinite values, in itself or in a dtype that is too narrow.
    """
    patches = _container(slide.path).read_patches(slide.path, rows)
    n_expected = slide.n_patches if rows is None else len(rows)
    if patches.shape != (n_expected, slide.width) or patches.dtype != slide.bag_dtype:
        raise InputError(f"{slide.path} has changed since it was inspected; start again.")
    require_finite(slide.path, patches)
    if dtype is None or dtype == patches.dtype:
        return patches
    converted = patches.to(dtype)
    require_finite(slide.path, converted)
    return converted


def sources(slide: SlideFeatures) -> list[Path]:
    """The files that describe a slide: the feature file, and what slide2vec wrote beside it."""
    # HDF5 files tell everything themselves.
    beside = () if slide.layout.endswith("h5") else slide2vec.companions(slide.path)
    return [slide.path, *(path for path in beside if path.is_file())]


def read_coords(slide: SlideFeatures) -> NDArray[np.float64] | None:
    """Read where the patches of a slide lie.

    Args:
        slide: An inspected feature file.

    Returns:
        Float64 array [n, 2] of (x, y), in the order of the patches and in ``slide.coords_unit``;
        None where the slide has no coordinates.

    Raises:
        InputError: The file that holds them is damaged.
    """
    coords = _container(slide.path).read_coords(slide)
    return None if coords is None else coords.astype(np.float64)


def require_finite(path: Path, patches: torch.Tensor) -> None:
    """Refuse NaN and infinite values.

    Args:
        path: The file that the message names.
        patches: Tensor [n, F].

    Raises:
        InputError: Any value is not finite; says in how many patches.
    """
    smallest, largest = torch.aminmax(patches)  # NaN wins; many times faster than isfinite().all()
    if not (smallest.isfinite() and largest.isfinite()):
        n_bad = int((~patches.isfinite()).any(dim=1).sum())
        raise InputError(
            f"{path} holds NaN or infinite values in {n_bad} of {len(patches)} patches; extract "
            "its features again (float16 overflows above 65504)."
        )


def check_slides(slides: Sequence[SlideFeatures]) -> None:
    """Require that the slides were made alike: one width, one encoder, one patch size.

    Files that `histodistill extract` wrote record all their settings, and all are compared.
    What a file does not record is not.

    Args:
        slides: The slides that one model shall use.

    Raises:
        InputError: Names every file that differs from the majority, and in what.
    """
    properties: dict[str, Callable[[SlideFeatures], object]] = {
        "width": lambda slide: slide.width,
        "patch encoder": lambda slide: slide.encoder,
        "patch size in µm": lambda slide: slide.patch_um and round(slide.patch_um, 1),
        "patch size in px": lambda slide: slide.patch_px,
    }
    recorded = {slide: _extraction_settings(slide) for slide in slides}
    for key in sorted({key for settings in recorded.values() for key in settings}):
        properties[f"extraction setting {key}"] = lambda slide, key=key: recorded[slide].get(key)  # type: ignore[misc]
    problems = [
        problem for name, value in properties.items() for problem in _odd(slides, name, value)
    ]
    if problems:
        raise InputError(*problems)


def _extraction_settings(slide: SlideFeatures) -> dict[str, str]:
    """The settings that `histodistill extract` recorded, by dotted name; empty for other tools.

    Those that other properties of a slide tell are left out.
    """
    told = {"encoder", "tiling.mpp", "tiling.patch_px"}
    flat = _flat(json.loads(slide.extraction)) if slide.extraction else {}
    return {key: value for key, value in flat.items() if key not in told}


def _flat(values: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def _odd(
    slides: Sequence[SlideFeatures], name: str, value: Callable[[SlideFeatures], object]
) -> list[str]:
    """One problem for each recorded value other than the most frequent one."""
    counts = Counter(value(slide) for slide in slides if value(slide) is not None)
    if len(counts) < 2:
        return []
    (usual, n_usual), *others = counts.most_common()
    problems = []
    for odd, n_odd in others:
        names = [str(slide.path) for slide in slides if value(slide) == odd]
        files = "1 feature file has" if n_odd == 1 else f"{n_odd} feature files have"
        problems.append(
            f"{files} {name} {odd} while {n_usual} have {usual}: {listed(names)}. One model needs "
            "features made alike: extract these again, or leave them out."
        )
    return problems


def _container(path: Path) -> Container:
    """The module that reads this file, by the file's first bytes.

    Raises:
        InputError: The file cannot be opened, or starts like no known layout.
    """
    head = _head(path)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return hdf5
    if head.startswith(b"\x93NUMPY"):
        return arrays
    if head.startswith(b"PK\x03\x04"):
        return pytorch if _is_torch_archive(path) else arrays
    if head == _TORCH_BEFORE_1_6:
        return pytorch
    if head.startswith(b"\x80"):
        raise InputError(
            f"{path} is a Python pickle, which can run any code when it is opened, so it was not "
            f"opened. {pytorch.HOW_TO_SAVE}"
        )
    raise InputError(
        f"{path} is no feature file: it starts with {head!r}. Known layouts: {KNOWN_LAYOUTS}."
    )


def _head(path: Path) -> bytes:
    try:
        with opened(path) as stream:
            head = stream.read(8)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the features folder.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not head:
        raise damaged(path, "it is empty, 0 bytes")
    return head


def _is_torch_archive(path: Path) -> bool:
    with reading(path), zipfile.ZipFile(path) as archive:
        return any(name.endswith("data.pkl") for name in archive.namelist())
