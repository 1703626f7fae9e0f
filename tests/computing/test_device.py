"""Names of devices: the same ones for settings, the command line and Python."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from histodistill.computing.device import resolve_device
from histodistill.errors import InputError
from histodistill.experiment.methods import TrainingSettings


def gpus(monkeypatch: pytest.MonkeyPatch, number: int, current: int = 0) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: number > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 0)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(InputError, match=f"device {name}: PyTorch sees no NVIDIA GPU here"):
            resolve_device(name)


def test_a_gpu_has_the_number_that_its_tensors_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, 2, current=1)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda:1")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    assert resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="device cuda:2: PyTorch sees 2 NVIDIA GPUs here"):
        resolve_device("cuda:2")


def test_an_apple_gpu_is_there_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("mps") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(InputError, match="device mps: PyTorch sees no GPU of an Apple computer"):
        resolve_device("mps")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "CUDA", "cpu:0", "meta", "", "cpu\n"])
def test_other_names_are_refused_everywhere(name: str) -> None:
    with pytest.raises(InputError, match="is none of auto, cpu, cuda"):
        resolve_device(name)
    with pytest.raises(ValidationError):
        TrainingSettings(device=name)


@pytest.mark.parametrize("name", ["auto", "cpu", "cuda", "cuda:3", "mps"])
def test_settings_take_every_name(name: str) -> None:
    assert TrainingSettings(device=name).device == name
