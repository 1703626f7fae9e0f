"""timm without a matching torchvision.

timm imports torchvision for a few layers. The torchvision of the package index is built for CUDA;
beside a CPU build of torch its compiled part cannot load, and its import then stops because two
operators that no encoder uses are not declared. Declaring them lets the import pass, so that the
tests run timm's real architectures on the CPU build.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec

import torch

_DECLARED: list[torch.library.Library] = []


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        for module in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[module]
        importlib.import_module("torchvision")


if find_spec("torchvision") is not None:
    _import_torchvision()
