"""Which device computes: one notion for settings, the command line and Python."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from histodistill.errors import InputError

if TYPE_CHECKING:
    import torch

DEVICE_NAMES = r"^(auto|cpu|cuda(:\d+)?|mps)$"
"""What a device may be called, as a regular expression."""

DEVICE_HELP = "auto (an NVIDIA GPU where there is one, else the CPU), cpu, cuda, cuda:1 or mps."


def resolve_device(name: str) -> torch.device:
    """The device that a name means here.

    Args:
        name: ``auto`` (an NVIDIA GPU where there is one, else the CPU), ``cpu``, ``cuda``,
            ``cuda:<n>`` or ``mps`` (the GPU of an Apple computer).

    Returns:
        The device; of NVIDIA's with its number, as tensors that lie there name it.

    Raises:
        InputError: The name is none of these, or there is no such GPU.
    """
    import torch

    require_device_name(name)
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(("cuda" if n_gpus else "cpu") if name == "auto" else name)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise _absent(name, "no GPU of an Apple computer")
    if device.type == "cuda":
        number = torch.cuda.current_device() if n_gpus and device.index is None else device.index
        if number is None or number >= n_gpus:
            raise _absent(name, f"{n_gpus} NVIDIA GPUs" if n_gpus else "no NVIDIA GPU")
        return torch.device("cuda", number)
    return device


def require_device_name(name: str) -> None:
    """Refuse what names no device, without looking for any.

    Raises:
        InputError: The name is none of those that :func:`resolve_device` knows.
    """
    if not re.fullmatch(DEVICE_NAMES, name):
        raise InputError(f"device {name!r} is none of auto, cpu, cuda, cuda:1 (its number) or mps")


def _absent(name: str, found: str) -> InputError:
    return InputError(f"device {name}: PyTorch sees {found} here; give cpu or auto")
