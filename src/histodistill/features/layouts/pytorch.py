"""PyTorch files: CLAM's and slide2vec's ``.pt``, one tensor a file.

A dictionary that holds the tensor under ``features`` or ``feats`` is read as well.
Nothing but tensors and plain containers is ever unpickled. PyTorch is imported when the first such
file is opened.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.features.layouts.base import FeatureLayout
from histodistill.features.layouts.registry import LAYOUTS
from histodistill.features.slide import (
    SlideFeatures,
    bag_shape,
    feature_dtype,
    reading,
    unknown_layout,
)
from histodistill.gate.archives import require_intact_zip

if TYPE_CHECKING:
    from torch import Tensor

HOW_TO_SAVE = "Save the features as a tensor: torch.save(torch.as_tensor(features), path)."

# How a file of PyTorch before 1.6 starts: the pickle of a magic number.
_BEFORE_1_6 = b"\x80\x02\x8a\nl\xfc\x9cF"
_KEYS = ("features", "feats")


@LAYOUTS.declare(
    "pytorch",
    text="CLAM .pt and other PyTorch files (one tensor)",
    suffixes=(".pt",),
    starts=(b"PK\x03\x04", b"\x80"),
    asked_last=True,
)
class PyTorchTensor(FeatureLayout):
    """One tensor, or a dictionary with one under ``features`` or ``feats``."""

    def inspect(self, path: Path) -> SlideFeatures | None:
        """Describe a file; the tensor's values are mapped, not read. None for other archives.

        Raises:
            InputError: The file would run code, or does not hold a bag of patch features.
        """
        if not is_tensor_file(path):
            return None
        features = _features(path)
        n_patches, width = bag_shape(path, features.shape)
        dtype = feature_dtype(path, str(features.dtype).removeprefix("torch."))
        return SlideFeatures(path=path, n_patches=n_patches, width=width, dtype=dtype)

    def read_patches(self, path: Path, rows: NDArray[np.int64] | None) -> Tensor:
        """Read the patches [n, F], or those of the given rows."""
        import torch

        if rows is None and zipfile.is_zipfile(path):
            with reading(path):
                require_intact_zip(path)
        features = _features(path).detach()
        patches = features[0] if features.ndim == 3 else features
        # The file is mapped, not read: the copy makes the bag independent of it.
        wanted = patches.clone() if rows is None else patches[torch.from_numpy(rows)]
        return wanted.contiguous()


def is_tensor_file(path: Path) -> bool:
    """Whether a file is one of PyTorch, of any version.

    Raises:
        InputError: It is a plain pickle, which is not opened.
    """
    with path.open("rb") as stream:
        head = stream.read(len(_BEFORE_1_6))
    if head.startswith(b"\x80"):
        if head != _BEFORE_1_6:
            raise InputError(
                f"{path} is a Python pickle, which can run any code when it is opened, so it was "
                f"not opened. {HOW_TO_SAVE}"
            )
        return True
    with reading(path), zipfile.ZipFile(path) as archive:
        return is_of_pytorch(archive.namelist())


def is_of_pytorch(names: Sequence[str]) -> bool:
    """Whether a zip archive with these members is a file of PyTorch."""
    return any(name.endswith("data.pkl") for name in names)


def _loaded(path: Path) -> object:
    """The file's content, unpickled with ``weights_only``."""
    from histodistill.gate.tensors import read_pytorch

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


def _features(path: Path) -> Tensor:
    """The one tensor of features in a file."""
    import torch

    from histodistill.gate.tensors import require_stored

    content = _loaded(path)
    if isinstance(content, torch.Tensor):
        features = content
    elif isinstance(content, dict):
        named = [content[key] for key in _KEYS if isinstance(content.get(key), torch.Tensor)]
        if len(named) != 1:
            raise unknown_layout(path, [str(key) for key in content])
        features = named[0]
    else:
        raise unknown_layout(path, [f"a {type(content).__name__}"])
    require_stored(path, features)
    return features
