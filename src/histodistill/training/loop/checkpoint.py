"""The state of an unfinished training, enough to go on as if nothing had happened."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, cast

import torch

from histodistill.errors import InputError
from histodistill.files import whole_file
from histodistill.gate.tensors import read_pytorch

State = dict[str, Any]


def save_state(path: Path, state: State) -> None:
    """Write a state whole; a crash leaves the one before."""
    # PyTorch hides that a disk is full behind an error of its own.
    content = io.BytesIO()
    torch.save(state, content)
    with whole_file(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def forget_states(folder: Path, name: str) -> None:
    """Remove the states of a finished training, those of an ensemble's members included."""
    for state in folder.rglob(name):
        state.unlink()


def load_state(path: Path, device: torch.device) -> State | None:
    """Read a state; None where there is none yet.

    Raises:
        InputError: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        return cast(State, read_pytorch(path, device=device))
    except Exception as error:  # whatever PyTorch makes of a damaged file
        raise InputError(
            f"{path}: damaged checkpoint ({type(error).__name__}); delete it to train this "
            "fold again from its start"
        ) from error
