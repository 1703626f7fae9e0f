"""Small slides with known tissue, and an encoder that can be checked by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from histodistill.encoders import PatchEncoder, describe_encoder, load_encoder
from histodistill.extraction import ExtractionSettings, SlideEntry
from histodistill.tiling import TilingSettings

tifffile = pytest.importorskip("tifffile")
pytest.importorskip("openslide")

TILING = TilingSettings(mpp=1.0, patch_px=64)


class QuarterColours(torch.nn.Module):
    """Mean colour of each quarter of a patch: 12 features."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def tissue_picture(side: int = 512, seed: int = 0) -> NDArray[np.uint8]:
    """A white square with an ellipse of purple noise on it."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 245, np.uint8)
    y, x = np.mgrid[:side, :side] / side - 0.5
    inside = (x / 0.4) ** 2 + (y / (0.3 + 0.02 * seed)) ** 2 < 1
    noise = rng.integers(-30, 30, (side, side, 3))
    picture[inside] = np.clip(np.array([170, 90, 150]) + noise, 0, 255)[inside]
    return picture


def write_slide(path: Path, picture: NDArray[np.uint8], mpp: float | None = 1.0) -> Path:
    """A tiled TIFF that OpenSlide reads, with its µm/px in the resolution tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    resolution = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": 3}
    tifffile.imwrite(path, picture, tile=(128, 128), photometric="rgb", **resolution)
    return path


@pytest.fixture
def entries(tmp_path) -> Callable[[int], list[SlideEntry]]:
    """A maker of that many slides, each different."""

    def make(count: int) -> list[SlideEntry]:
        paths = [
            write_slide(tmp_path / "slides" / f"slide{number}.tiff", tissue_picture(seed=number))
            for number in range(count)
        ]
        return [SlideEntry(path, path.stem) for path in paths]

    return make


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """The encoder as a TorchScript file."""
    path: Path = tmp_path_factory.mktemp("encoder") / "quarters.pt"
    torch.jit.script(QuarterColours()).save(path)
    return path


@pytest.fixture(scope="session")
def encoder(weights) -> PatchEncoder:
    """The encoder, for patches of 64 px."""
    described = describe_encoder("torchscript", input_px=64, mean=(0.5,) * 3, std=(0.5,) * 3)
    return load_encoder(described, weights=weights, allow_code=True)


@pytest.fixture
def settings(encoder) -> ExtractionSettings:
    """Patches of 64 µm."""
    return ExtractionSettings.of(encoder, TILING)
