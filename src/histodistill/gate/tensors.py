"""Tensors in safetensors and PyTorch files, read without running code."""

from __future__ import annotations

import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from histodistill.errors import InputError
from histodistill.gate.archives import require_intact_zip, require_plausible_zip
from histodistill.gate.plain import require_regular


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file.

    Raises:
        InputError: It is no regular file, or damaged.
        OSError: It is absent or cannot be read.
    """
    require_regular(path)
    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no whole safetensors file ({error}); copy it again") from error


def read_pytorch(path: Path, *, device: torch.device | str = "cpu", mapped: bool = False) -> object:
    """What a PyTorch file holds; nothing but tensors and plain containers is unpickled.

    Args:
        path: The file.
        device: Where the tensors go.
        mapped: Leave values on the disk until they are used, where the file's version allows it;
            their checksums are not compared.

    Raises:
        InputError: It is no regular file, damaged, or unpacks to more than such files hold.
        Exception: Whatever PyTorch makes of a damaged file.
    """
    require_regular(path)
    archive = zipfile.is_zipfile(path)  # files of PyTorch before 1.6 are none
    if archive:
        require_plausible_zip(path)
        if not mapped:
            require_intact_zip(path)
    return torch.load(path, map_location=device, weights_only=True, mmap=mapped and archive)


def require_stored(path: Path, tensor: Tensor) -> None:
    """Refuse a tensor that repeats a few stored values to any size.

    Raises:
        InputError: It has more values than its file stores.
    """
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        raise InputError(f"{path}: holds a {tensor.layout} tensor, not plain values")
    if tensor.numel() * tensor.itemsize > tensor.untyped_storage().nbytes():
        raise InputError(
            f"{path}: says that it holds {list(tensor.shape)} values, and stores "
            f"{tensor.untyped_storage().nbytes():,} bytes; write it with a contiguous tensor"
        )
