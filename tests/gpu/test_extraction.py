"""Extraction on a GPU: float16 by default, and features near those of the CPU.

Stated tolerance: cosine similarity of every patch's features at least 0.999.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from histodistill.computing.device import resolve_device
from histodistill.encoders import PatchEncoder, describe_encoder, loading
from histodistill.encoders.loading import resolve_precision
from histodistill.encoders.onnx import OnnxNetwork
from histodistill.errors import InputError
from histodistill.extraction import ExtractionSettings, ExtractionSummary, extract_slides
from histodistill.extraction.slide_list import SlideEntry
from histodistill.features import inspect, read_patches
from tests.extraction.conftest import TILING, tissue_picture, write_slide

CPU = torch.device("cpu")


def convolutions() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = (torch.nn.Conv2d(3, 16, 3), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 3))
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())


@pytest.fixture
def slides(tmp_path: Path) -> list[SlideEntry]:
    paths = [write_slide(tmp_path / f"{n}.tiff", tissue_picture(seed=n)) for n in range(2)]
    return [SlideEntry(path, path.stem) for path in paths]


def extracted(
    slides: list[SlideEntry], network: torch.nn.Module, device: torch.device, out: Path
) -> ExtractionSummary:
    described = describe_encoder("torchscript", input_px=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    precision = resolve_precision("auto", device.type)
    encoder = PatchEncoder(described, network, "", device, precision)
    return extract_slides(slides, encoder, out, ExtractionSettings.of(encoder, TILING))


def test_features_are_near_those_of_the_cpu(
    slides: list[SlideEntry], tmp_path: Path, gpu: torch.device
) -> None:
    """Patches go to the GPU as they lie in memory: channels last, as it wants them."""
    found = extracted(slides, convolutions(), gpu, tmp_path / "gpu")
    assert resolve_precision("auto", gpu.type) == "float16"
    extracted(slides, convolutions(), CPU, tmp_path / "cpu")
    assert found.patches > 20
    for entry in slides:
        ours, theirs = (
            read_patches(inspect(tmp_path / place / f"{entry.slide_id}.h5")).float()
            for place in ("gpu", "cpu")
        )
        assert ours.shape == theirs.shape
        assert torch.cosine_similarity(ours, theirs, dim=1).min() >= 0.999


def test_a_precision_that_the_processor_is_slow_in_is_no_matter_on_a_gpu(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(loading, "times_as_fast", lambda precision: 0.1)
    loading._tell_slow("bfloat16", gpu)
    assert not recwarn.list
    loading._tell_slow("bfloat16", CPU)
    assert "10 times slower" in str(recwarn.pop().message)


def test_patches_that_a_gpu_does_not_hold_are_told(
    slides: list[SlideEntry], tmp_path: Path, gpu: torch.device
) -> None:
    class TooLarge(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if images.shape[0] > 2:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return images.flatten(1)[:, :4]

    with pytest.raises(InputError, match="memory is too small for this batch; give a smaller"):
        extracted(slides, TooLarge(), gpu, tmp_path / "out")


def test_an_onnx_file_runs_on_the_gpu_where_its_runtime_can(
    gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    class Session:
        def __init__(self, path: str, providers: list[str]) -> None:
            asked.append(providers)

        def get_inputs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(name="images")]

    runtime = SimpleNamespace(
        get_available_providers=lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
        InferenceSession=Session,
    )
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    OnnxNetwork(Path("own.onnx"), resolve_device("cuda"))
    OnnxNetwork(Path("own.onnx"), resolve_device("cpu"))
    assert asked == [["CUDAExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]]
