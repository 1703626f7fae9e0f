"""Recognise feature files by their content, and read them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError, listed
from histodistill.features.layouts.registry import AUTO, LAYOUTS, layout_facts
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    damaged,
    feature_dtype,
    known_layouts,
    reading,
)
from histodistill.features.values import (
    BagDtype,
    as_tensor,
    converted,
    dtype_name,
    patches_of,
    require_finite,
)
from histodistill.gate.plain import opened
from histodistill.gate.stand_ins import HEAD_BYTES, require_fetched

if TYPE_CHECKING:
    import torch

    from histodistill.features.values import Values


def inspect(path: Path, layout: str = AUTO) -> SlideFeatures:
    """Describe the patch features of one slide; reads the file's header only.

    Args:
        path: A feature file. Its content decides over its layout, not its suffix.
        layout: The layout that it must be of; by default that which recognises it.

    Returns:
        What the file says of itself.

    Raises:
        InputError: The file is missing, damaged, of no known or another layout, or not a bag of
            patches.
    """
    path = Path(path)
    head = _head(path)
    for facts in layout_facts(layout):
        if facts.starts and not head.startswith(facts.starts):
            continue
        with reading(path):
            slide = LAYOUTS.load(facts.name)().inspect(path)
        if slide is not None:
            return _checked(path, replace(slide, layout=facts.name))
    if layout != AUTO:
        raise InputError(
            f"{path} is not of the layout `{layout}`; leave out `layout`, and the file's content "
            "decides, or give the folder of such files"
        )
    raise InputError(
        f"{path} is no feature file: it starts with {head[:8]!r}. Known layouts: {known_layouts()}."
    )


def _checked(path: Path, slide: SlideFeatures) -> SlideFeatures:
    """What a layout says of a file, if it can be so."""
    bag_shape(path, (slide.n_patches, slide.width))
    feature_dtype(path, slide.dtype)
    return slide


def read_patches(
    slide: SlideFeatures,
    rows: NDArray[np.int64] | None = None,
    dtype: BagDtype | None = None,
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
    return as_tensor(read_values(slide, rows, dtype))


def read_values(
    slide: SlideFeatures,
    rows: NDArray[np.int64] | None = None,
    dtype: BagDtype | None = None,
) -> Values:
    """Read the patches of a slide as :func:`read_patches`, without PyTorch where NumPy can."""
    _head(slide.path)  # tells a file that is gone
    with reading(slide.path):
        patches = patches_of(LAYOUTS.load(slide.layout)().read_patches(slide.path, rows))
    n_expected = slide.n_patches if rows is None else len(rows)
    found = (tuple(patches.shape), dtype_name(patches))
    if found != ((n_expected, slide.width), slide.bag_dtype):
        raise InputError(f"{slide.path} has changed since it was inspected; start again.")
    require_finite(slide.path, patches)
    if dtype is None or dtype == slide.bag_dtype:
        return patches
    narrowed = converted(patches, dtype)
    require_finite(slide.path, narrowed)
    return narrowed


def sources(slide: SlideFeatures) -> list[Path]:
    """The files that describe a slide: the feature file, and what its tool wrote beside it."""
    beside = LAYOUTS.load(slide.layout)().companions(slide.path)
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
    with reading(slide.coords_path or slide.path):
        coords = LAYOUTS.load(slide.layout)().read_coords(slide)
    return None if coords is None else coords.astype(np.float64)


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


def _head(path: Path) -> bytes:
    try:
        with opened(path) as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; check the features folder.") from error
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror}).") from error
    if not head:
        raise damaged(path, "it is empty, 0 bytes")
    require_fetched(path, head)
    return head
