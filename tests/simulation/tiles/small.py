"""Tiny tiles of four colours, an encoder that sees colours alone, and a small cohort of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from histodistill.encoders import Encoder, PatchEncoder
from histodistill.simulation.tiles import (
    TileCohort,
    TileFeatures,
    TileLibrary,
    TileSettings,
    encode_tiles,
    hospital_stains,
    read_tiles,
    simulate_tile_cohort,
)

COLOURS = {
    "fat": (240, 235, 238),
    "giant": (90, 40, 130),
    "stroma": (220, 140, 190),
    "tumour": (150, 80, 160),
}
SIDE = 16
SETTINGS = TileSettings(
    seed=2,
    n_patients=30,
    n_sites=2,
    n_genes=16,
    n_folds=3,
    n_patches=40,
    common_classes=("tumour",),
    rare_classes=("giant",),
    rare_share=0.05,
    share_without_label=0.3,
)


def write_tiles(folder: Path, per_class: int = 12) -> Path:
    """Tiles of about one colour a class, no two alike."""
    rng = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noise = rng.integers(-9, 10, (SIDE, SIDE, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}-{number:02d}.png")
    return folder


class Colours(nn.Module):
    """Mean and spread of each colour, [b, 6]."""

    calls = 0

    def forward(self, images: Tensor) -> Tensor:
        self.calls += len(images)
        return torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1)


def colour_encoder() -> PatchEncoder:
    """An encoder of six features that needs no weights."""
    described = Encoder(name="colours", title="colours", width=6, network="", input_px=SIDE)
    return PatchEncoder(described, Colours(), "none", torch.device("cpu"))


def encoded(library: TileLibrary, settings: TileSettings, cache: Path) -> TileFeatures:
    """The features of the tiles in the stains of the settings' hospitals."""
    stains = hospital_stains(settings.n_sites, settings.stain_shift)
    return encode_tiles(library, colour_encoder(), stains, cache=cache)


def small_cohort(folder: Path, settings: TileSettings = SETTINGS, mosaics: int = 0) -> TileCohort:
    """A cohort in ``folder/cohort`` of the tiles in ``folder/tiles``, made if they are missing."""
    tiles = folder / "tiles"
    library = read_tiles(tiles if tiles.exists() else write_tiles(tiles))
    features = encoded(library, settings, folder / "cache")
    return simulate_tile_cohort(folder / "cohort", settings, library, features, mosaics=mosaics)
