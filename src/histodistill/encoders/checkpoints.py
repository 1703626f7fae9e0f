"""Weights files read safely, and renamed to the names that timm gives its layers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from histodistill.encoders.conch import ConchVision, with_position_grid
from histodistill.errors import InputError, cause_of, listed
from histodistill.gate.tensors import read_pytorch, read_safetensors

State = dict[str, Tensor]


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network from a weights file; every tensor must find its place.

    Args:
        network: The network, see :func:`histodistill.encoders.networks.build_network`.
        path: ``.safetensors``, or ``.bin`` / ``.pth`` / ``.pt`` holding tensors only.

    Raises:
        InputError: The file cannot be read, or belongs to another network.
    """
    try:
        state = _fitted(network, read_checkpoint(path))
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        # What renames and resizes the weights of one architecture meets those of another.
        raise InputError(
            f"{path} holds the weights of another network: they cannot be put in its order "
            f"({cause_of(error)})."
        ) from error
    expected = network.state_dict()
    problems = [
        f"lacks {listed(sorted(expected.keys() - state.keys()), 3)}"
        if expected.keys() - state.keys()
        else "",
        f"also holds {listed(sorted(state.keys() - expected.keys()), 3)}"
        if state.keys() - expected.keys()
        else "",
        *(
            f"holds {key} as {tuple(state[key].shape)}, not {tuple(expected[key].shape)}"
            for key in sorted(expected.keys() & state.keys())
            if state[key].shape != expected[key].shape
        ),
    ]
    told = [problem for problem in problems if problem]
    if told:
        raise InputError(
            f"{path} holds the weights of another network: it {'; it '.join(told[:3])}."
        )
    network.load_state_dict(state)


def read_checkpoint(path: Path) -> State:
    """The tensors of a weights file, with the wrapping that training programs add taken off.

    Raises:
        InputError: The file is absent, or holds anything but tensors.
    """
    require_file(path)
    try:
        safetensors = path.suffix == ".safetensors"
        loaded: object = read_safetensors(path) if safetensors else read_pytorch(path)
    except (InputError, OSError):
        raise
    except Exception as error:  # PyTorch raises many kinds
        raise InputError(
            f"{path} could not be read as a file of tensors ({str(error).splitlines()[0]}). Give "
            "a .safetensors file, or a state dict saved by torch.save."
        ) from error
    return _tensors(_unwrapped(loaded), path)


def require_file(path: Path) -> Path:
    """The path, if there is such a file.

    Raises:
        InputError: There is none.
    """
    if not path.is_file():
        raise InputError(f"The weights file {path} does not exist.")
    return path


def _unwrapped(loaded: object) -> object:
    for key in ("model", "state_dict", "teacher"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    return loaded


def _tensors(loaded: object, path: Path) -> State:
    if not isinstance(loaded, Mapping) or not loaded:
        raise InputError(f"{path} holds no dictionary of tensors.")
    if not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"{path} holds other things than tensors; give the state dict alone.")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def _fitted(network: nn.Module, state: State) -> State:
    """The checkpoint under the names, and with the position grid, of the network."""
    if isinstance(network, ConchVision):
        side: int = network.trunk.patch_embed.grid_size[0]  # type: ignore[union-attr,index,assignment]
        return with_position_grid(state, side)
    if any("encoder.layer.0." in key for key in state):
        return from_transformers(state, registers=hasattr(network, "reg_token"))
    return _without_classifier(_filtered_by_timm(network, state), network)


def _filtered_by_timm(network: nn.Module, state: State) -> State:
    """What timm itself does to released weights: DINOv2's names, Swin's stage boundaries."""
    from importlib import import_module

    module = import_module(type(network).__module__)
    convert = getattr(module, "checkpoint_filter_fn", None)
    if convert is None:
        return state
    converted: State = convert(dict(state), network)
    return converted


def _without_classifier(state: State, network: nn.Module) -> State:
    own = network.state_dict()
    return {
        key: value
        for key, value in state.items()
        if key in own or not re.match(r"(head|fc|classifier|_fc)\.", key)
    }


_RENAMED = (
    (r"^(vit|dinov2)\.", ""),
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^encoder\.layer\.(\d+)\.", r"blocks.\1."),
    (r"\.(layernorm_before|norm1)\.", ".norm1."),
    (r"\.(layernorm_after|norm2)\.", ".norm2."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.(intermediate\.dense|mlp\.weights_in)\.", ".mlp.fc1."),
    (r"\.(output\.dense|mlp\.weights_out)\.", ".mlp.fc2."),
    (r"\.layer_scale([12])\.lambda1$", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


def from_transformers(state: Mapping[str, Tensor], registers: bool) -> State:
    """ViT or DINOv2 weights as the transformers library names them, under timm's names.

    Args:
        state: The checkpoint; its query, key and value weights are apart.
        registers: Whether the timm network has register tokens; such a network adds no position
            to its class token, so the position is added into the token itself.
    """
    renamed = {_rename(key): value for key, value in state.items()}
    for token in [key for key in renamed if key.endswith("attn.query.weight")]:
        stem = token.removesuffix("query.weight")
        for kind in ("weight", "bias"):
            parts = [renamed.pop(f"{stem}{part}.{kind}") for part in ("query", "key", "value")]
            renamed[f"{stem}qkv.{kind}"] = torch.cat(parts)
    return {
        **{key: value for key, value in renamed.items() if _belongs(key)},
        **_tokens(renamed, registers),
    }


def _rename(key: str) -> str:
    for pattern, replacement in _RENAMED:
        key = re.sub(pattern, replacement, key)
    return key


def _belongs(key: str) -> bool:
    return not key.startswith(("embeddings.", "pooler.", "classifier."))


def _tokens(renamed: Mapping[str, Tensor], registers: bool) -> State:
    class_token = renamed["embeddings.cls_token"]
    position = renamed["embeddings.position_embeddings"]
    if not registers:
        return {"cls_token": class_token, "pos_embed": position}
    return {
        "cls_token": class_token + position[:, :1],
        "pos_embed": position[:, 1:],
        "reg_token": renamed["embeddings.register_tokens"],
    }
