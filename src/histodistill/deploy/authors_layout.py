"""Checkpoints of the authors' released code, translated into our networks.

Their layout: one ``state_dict`` a network. The names below are theirs on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from histodistill.errors import InputError, listed
from histodistill.gate.tensors import read_pytorch, require_stored
from histodistill.model import Fusion, NetworkName

Weights = dict[str, Tensor]

# Their prefix -> ours, for every layer that is the same on both sides.
_STUDENT = {"_fc1.0": "patches.0", "classifier.fc": "classifier.1"}
_GENOMIC = {"fc1.0": "tokens.blocks.{block}", "abmil.classifier.fc": "classifier.1"}
_MULTIMODAL = {
    "wsi_net.0": "patches.0",
    "snn.0": "tokens.blocks.{block}",
    "classifier": "classifier",
}
_BILINEAR = {
    "mm.linear_h1.0": "fusion.path.hidden.0",
    "mm.linear_z1": "fusion.path.gate",
    "mm.linear_o1.0": "fusion.path.out.0",
    "mm.linear_h2.0": "fusion.omic.hidden.0",
    "mm.linear_z2": "fusion.omic.gate",
    "mm.linear_o2.0": "fusion.omic.out.0",
    "mm.encoder1.0": "fusion.product.0",
    "mm.encoder2.0": "fusion.joint.0",
}
_CONCAT = {"mm.0": "fusion.joint.0", "mm.2": "fusion.joint.2"}

# Their attention modules -> ours; V and U are one matrix here.
_ATTENTIONS: dict[NetworkName, dict[str, str]] = {
    "student": {"attention": "attention"},
    "genomic": {"abmil.attention": "attention"},
    "multimodal": {"attention_path": "patch_attention", "attention_snn": "token_attention"},
}

# Made by their constructor and never used by their forward pass.
_UNUSED = {"genomic": ("classifier.weight", "classifier.bias")}


@dataclass(frozen=True)
class AuthorsNetwork:
    """One of the authors' networks in our names.

    Attributes:
        weights: Parameters under our names.
        fusion: ``bilinear`` or ``concat`` for the multimodal teacher, otherwise None.
    """

    weights: Weights
    fusion: Fusion | None


def read_authors_checkpoint(path: Path, network: NetworkName, block: str) -> AuthorsNetwork:
    """Read and translate one of the authors' ``state_dict`` files.

    Args:
        path: A file written by ``torch.save(model.state_dict(), path)``.
        network: Which network it holds.
        block: The name to give to the one block of genes.

    Raises:
        InputError: The file cannot be read safely, or is not such a checkpoint.
    """
    state = _read_state(path)
    fusion: Fusion | None = None
    names = {"student": _STUDENT, "genomic": _GENOMIC, "multimodal": _MULTIMODAL}[network]
    if network == "multimodal":
        fusion = "concat" if "mm.0.weight" in state else "bilinear"
        names = names | (_CONCAT if fusion == "concat" else _BILINEAR)
    translation = _translation(names, network, block)
    _check_names(path, network, state, {old for olds in translation.values() for old in olds})
    weights = {
        new: torch.cat([state[old] for old in olds]).float() for new, olds in translation.items()
    }
    return AuthorsNetwork(weights, fusion)


def _translation(
    names: Mapping[str, str], network: NetworkName, block: str
) -> dict[str, tuple[str, ...]]:
    """Our parameter -> theirs, which are concatenated where there are two."""
    translation: dict[str, tuple[str, ...]] = {}
    for kind in ("weight", "bias"):
        for old, new in names.items():
            translation[f"{new.format(block=block)}.{kind}"] = (f"{old}.{kind}",)
        for old, new in _ATTENTIONS[network].items():
            translation[f"{new}.gate.{kind}"] = (
                f"{old}.attention_V.0.{kind}",
                f"{old}.attention_U.0.{kind}",
            )
            translation[f"{new}.score.{kind}"] = (f"{old}.attention_weights.{kind}",)
    return translation


def _read_state(path: Path) -> Weights:
    try:
        state = read_pytorch(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: cannot be read as a PyTorch state_dict without running code from it "
            f"({type(error).__name__}); save it with torch.save(model.state_dict(), path)"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise InputError(f"{path}: holds no state_dict (a dictionary of tensors)")
    for value in state.values():
        require_stored(path, value)
    unusable = sorted(name for name, value in state.items() if not value.isfinite().all())
    if unusable:
        raise InputError(f"{path}: NaN or infinite weights in {listed(unusable, 3)}")
    # nn.DataParallel prefixes every name.
    return {name.removeprefix("module."): value for name, value in state.items()}


def _check_names(path: Path, network: NetworkName, state: Weights, wanted: set[str]) -> None:
    absent = sorted(wanted - state.keys())
    unknown = sorted(state.keys() - wanted - set(_UNUSED.get(network, ())))
    problems = []
    if absent:
        problems.append(f"{path}: not a {network} checkpoint: lacks {listed(absent)}")
    if unknown:
        problems.append(f"{path}: not a {network} checkpoint: has unknown {listed(unknown)}")
    if problems:
        raise InputError(*problems)
