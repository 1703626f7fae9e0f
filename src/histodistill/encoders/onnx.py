"""A network of the user's own in an ONNX file, which holds no code of its own."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor, nn

from histodistill.errors import InputError


class OnnxNetwork(nn.Module):
    """An ONNX file with one input ``float [b, 3, H, W]``; its first output is ``[b, F]``.

    Args:
        path: The file.
        device: Runs on the GPU where this is ``cuda`` and the runtime was built for it.

    Raises:
        InputError: onnxruntime is not installed, or the file is no ONNX model.
    """

    def __init__(self, path: Path, device: torch.device) -> None:
        super().__init__()
        try:
            onnxruntime = import_module("onnxruntime")
        except ImportError as error:
            raise InputError(
                "An ONNX encoder needs the extra 'onnx': pip install 'histodistill[onnx]'."
            ) from error
        wanted = ["CUDAExecutionProvider"] if device.type == "cuda" else []
        known = onnxruntime.get_available_providers()
        providers = [name for name in (*wanted, "CPUExecutionProvider") if name in known]
        try:
            self._session = onnxruntime.InferenceSession(str(path), providers=providers)
        except Exception as error:  # onnxruntime raises classes of its own for each parse failure
            raise InputError(f"{path} is not a readable ONNX model ({error}).") from error
        self._path = path
        self._input = self._session.get_inputs()[0].name

    def forward(self, images: Tensor) -> Tensor:
        """Images ``[b, 3, H, W]`` to features ``[b, F]``."""
        try:
            answers = self._session.run(None, {self._input: images.float().cpu().numpy()})
        except Exception as error:  # as above
            raise InputError(
                f"{self._path}: the model does not run on images {list(images.shape)} ({error})."
            ) from error
        return torch.from_numpy(answers[0])
