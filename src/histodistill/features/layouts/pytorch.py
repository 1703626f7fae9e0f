"""Features in PyTorch files: CLAM's and slide2vec's ``.pt``, one tensor a file.

A dictionary that holds the tensor under ``features`` or ``feats`` is read as well.
Nothing but tensors and plain containers is ever unpickled.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts import slide2vec
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    feature_dtype,
    reading,
    unknown_layout,
)
from histodistill.gate.tensors import read_pytorch, require_stored

HOW_TO_SAVE = "Save the features as a tensor: torch.save(torch.as_tensor(features), path)."

_KEYS = ("features", "feats")


def inspect(path: Path) -> SlideFeatures:
    """Describe a PyTorch feature file; the tensor's values are mapped, not read.

    Raises:
        InputError: The file is damaged, would run code, or does not hold a bag of patch features.
    """
    features = _features(path, _loaded(path))
    require_stored(path, features)
    n_patches, width = bag_shape(path, features.shape)
    slide = SlideFeatures(
        path=path,
        layout="PyTorch tensor",
        n_patches=n_patches,
        width=width,
        dtype=feature_dtype(path, str(features.dtype).removeprefix("torch.")),
    )
    return slide2vec.described(slide)


def read_patches(path: Path, rows: NDArray[np.int64] | None) -> torch.Tensor:
    """Read the patches [n, F], or those of the given rows."""
    features = _features(path, _loaded(path)).detach()
    require_stored(path, features)
    patches = features[0] if features.ndim == 3 else features
    # The file is mapped, not read: the copy makes the bag independent of it.
    wanted = patches.clone() if rows is None else patches[torch.from_numpy(rows)]
    return wanted.float() if wanted.dtype == torch.float64 else wanted.contiguous()


def read_coords(slide: SlideFeatures) -> NDArray[np.generic] | None:
    """Read the coordinates [n, 2] (x, y) in level-0 pixels that slide2vec wrote."""
    return None if slide.coords_path is None else slide2vec.read_coords(slide.coords_path)


def _loaded(path: Path) -> object:
    """The file's content, unpickled with ``weights_only``."""
    with reading(path):
        try:
            content = read_pytorch(path, mapped=True)
        except pickle.UnpicklingError as error:
            needed = re.search(r"GLOBAL (\S+)", str(error))
            if needed is None:
                raise
            raise InputError(
                f"{path} is not a plain tensor: opening it would run code that it names "
                f"({needed[1]}), so it was not opened. {HOW_TO_SAVE}"
            ) from error
    return content


def _features(path: Path, content: object) -> torch.Tensor:
    """The one tensor of features in a loaded file."""
    if isinstance(content, torch.Tensor):
        return content
    if not isinstance(content, dict):
        raise unknown_layout(path, [f"a {type(content).__name__}"])
    named: list[torch.Tensor] = [
        content[key] for key in _KEYS if isinstance(content.get(key), torch.Tensor)
    ]
    if len(named) != 1:
        raise unknown_layout(path, [str(key) for key in content])
    return named[0]
