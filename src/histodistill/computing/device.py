"""Which device computes."""

from __future__ import annotations

import torch

from histodistill.errors import InputError


def resolve_device(name: str) -> torch.device:
    """The device that a setting names; ``auto`` is a GPU where there is one.

    Raises:
        InputError: A GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    device = torch.device(("cuda" if available else "cpu") if name == "auto" else name)
    if device.type == "cuda" and not available:
        raise InputError(f"device {name}: PyTorch sees no GPU here; use device: cpu or auto")
    if device == torch.device("cuda"):
        # With its number, as tensors that lie there name it.
        return torch.device("cuda", torch.cuda.current_device())
    return device
