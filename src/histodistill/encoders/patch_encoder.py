"""An encoder with its weights: patches in, features out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from histodistill.encoders.encoder import Encoder, Precision
from histodistill.errors import InputError

Pixels = NDArray[np.uint8]

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


class PatchEncoder:
    """A network ready to encode patches.

    Args:
        encoder: Its description; ``width`` is filled in by a trial run where it is 0.
        network: Maps normalised ``float [b, 3, H, W]`` to ``[b, F]`` or tokens ``[b, n, F]``.
        weights_hash: SHA-256 of the weights file.
        device: Where to run.
        precision: Arithmetic of the network; other than ``float32`` it runs under autocast.
    """

    def __init__(
        self,
        encoder: Encoder,
        network: nn.Module,
        weights_hash: str,
        device: torch.device,
        precision: Precision = "float32",
    ) -> None:
        self.encoder = encoder
        self.weights_hash = weights_hash
        self.device = device
        self.precision: Precision = precision
        self._network = network.to(device).eval()
        self._mean = torch.tensor(encoder.mean, device=device).view(1, 3, 1, 1) * 255
        self._scale = 1 / (torch.tensor(encoder.std, device=device).view(1, 3, 1, 1) * 255)
        self.width = self._trial_width()

    def encode(self, patches: Tensor) -> Tensor:
        """Features of patches.

        Args:
            patches: ``uint8 [b, H, W, 3]``, RGB. Resized as the encoder documents if their size
                is not the one it takes.

        Returns:
            ``float32 [b, F]`` on the CPU.
        """
        fitted = patches if self._fits(patches) else torch.from_numpy(self.fit(patches.numpy()))
        pixels = fitted.to(self.device, non_blocking=True)
        # In memory this is channels-last already, the layout that convolutions run fastest in.
        images = (pixels.permute(0, 3, 1, 2).float() - self._mean) * self._scale
        with torch.inference_mode(), self._autocast():
            return self._pooled(self._network(images)).float().cpu()

    def fit(self, patches: Pixels) -> Pixels:
        """Patches resized, then cut, to the size that the network takes.

        Args:
            patches: ``[b, H, W, 3]``, square.

        Returns:
            ``[b, input_px, input_px, 3]``.
        """
        side = self.encoder.resize_px or self.encoder.input_px
        if patches.shape[1:3] != (side, side):
            resample = _FILTERS[self.encoder.interpolation]
            resized = [Image.fromarray(each).resize((side, side), resample) for each in patches]
            patches = np.stack([np.asarray(each) for each in resized])
        edge = (side - self.encoder.input_px) // 2
        return patches[:, edge : side - edge, edge : side - edge] if edge else patches

    def _fits(self, patches: Tensor) -> bool:
        cut = self.encoder.resize_px is not None
        return not cut and patches.shape[1:3] == (self.encoder.input_px,) * 2

    def _pooled(self, output: Tensor) -> Tensor:
        if self.encoder.pooling == "network":
            return output
        prefix: int = self._network.num_prefix_tokens  # type: ignore[assignment]
        return torch.cat([output[:, 0], output[:, prefix:].mean(1)], dim=-1)

    def _autocast(self) -> torch.autocast:
        dtype = _DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=dtype is not torch.float32)

    def _trial_width(self) -> int:
        if self.encoder.width:
            return self.encoder.width
        side = self.encoder.input_px
        try:
            features = self.encode(torch.zeros(2, side, side, 3, dtype=torch.uint8))
        except RuntimeError as error:
            raise InputError(
                f"{self.encoder.title} does not take images of {side} x {side} px "
                f"({str(error).splitlines()[0]}). Give the size it takes with --input-px."
            ) from error
        if features.ndim != 2:
            raise InputError(
                f"{self.encoder.title} returns {tuple(features.shape)} for 2 patches; an encoder "
                "returns one vector a patch."
            )
        return features.shape[1]
