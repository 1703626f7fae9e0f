"""The precision that a method is trained in on a device."""

from __future__ import annotations

import torch

from histodistill.computing.precision import Precision, fast_precision
from histodistill.experiment.methods import MethodSettings


def precision_of(method: MethodSettings, device: torch.device) -> Precision:
    """What the method says, or what ``auto`` means on the device.

    That is bfloat16 where the device is fast in it and every patch goes through a layer of its
    own. What is left, networks on genes and linear ones, is not faster in it.
    """
    if method.training.precision != "auto":
        return method.training.precision
    return fast_precision(device) if method.network.embeds_patches else "float32"
