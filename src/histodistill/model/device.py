"""Which device computes."""

from __future__ import annotations

import torch

from histodistill.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU where there is one.

    Raises:
        InputError: A GPU is asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InputError(f"device {name}: PyTorch sees no GPU here; use device: cpu or auto")
    return device
