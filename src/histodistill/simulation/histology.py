"""Draw a field of tissue as an H&E slide shows it: a cartoon, under a Beer-Lambert stain model.

From the outside in: a piece of tissue with a ragged outline on empty glass; in it nests of
epithelium with lumens, between them fibrous stroma; in the epithelium nuclei, in the stroma
fibroblasts and lymphocytes; on top, sometimes, a pen mark. Each structure adds an amount of
haematoxylin or eosin to a pixel, and `histodistill.simulation.stain` turns amounts to colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from histodistill.simulation.morphology import Morphology
from histodistill.simulation.nuclei import NucleusKind, place, stamp
from histodistill.simulation.stain import Stain, develop
from histodistill.simulation.texture import fibres, smooth_noise

Field = NDArray[np.float32]

_NEST_SCALE_UM = 45.0
_INFILTRATE_SCALE_UM = 30.0
_FIBROBLAST_SPACING_UM = 24.0
_LYMPHOCYTE_SPACING_UM = 6.5
_LYMPHOCYTE = NucleusKind(
    radius_um=2.6,
    size_spread=0.08,
    elongation=1.1,
    irregularity=0.0,
    haematoxylin=2.0,
    vesicularity=0.0,
)
_FIBROBLAST = NucleusKind(
    radius_um=2.3,
    size_spread=0.2,
    elongation=4.0,
    irregularity=0.0,
    haematoxylin=1.3,
    vesicularity=0.0,
)


@dataclass(frozen=True)
class Tissue:
    """Where each tissue is: opacities from 0 to 1, each [height, width] float32.

    Attributes:
        tissue: Tissue of any kind.
        epithelium: Epithelium without its lumens.
        stroma: Stroma.
        infiltrate: The stroma that lymphocytes infiltrate.
    """

    tissue: Field
    epithelium: Field
    stroma: Field
    infiltrate: Field


def draw_field(
    rng: np.random.Generator,
    morphology: Morphology,
    stain: Stain,
    shape: tuple[int, int],
    mpp: float,
) -> NDArray[np.uint8]:
    """Draw one slide.

    Args:
        rng: Source of everything random.
        morphology: What the tissue looks like.
        stain: The laboratory's stain.
        shape: Height and width, pixels.
        mpp: µm per pixel.

    Returns:
        [height, width, 3] RGB.
    """
    tissue = lay_out(rng, morphology, shape, mpp)
    haematoxylin, eosin = _ground(rng, tissue, mpp)
    nuclei = _nuclei(rng, morphology, tissue, mpp)
    # A nucleus holds little eosin.
    eosin *= 1 - 0.6 * nuclei.clip(0, 1)
    haematoxylin = np.maximum(haematoxylin, nuclei)
    pen = _pen_mark(rng, shape) if morphology.pen else np.zeros(shape, dtype=np.float32)
    haematoxylin *= np.float32(morphology.haematoxylin)
    eosin *= np.float32(morphology.eosin)
    return develop(stain, haematoxylin, eosin, pen, rng)


def lay_out(
    rng: np.random.Generator, morphology: Morphology, shape: tuple[int, int], mpp: float
) -> Tissue:
    """Decide where tissue, epithelium, stroma and lymphocytes are."""
    tissue = _outline(rng, shape)
    nests = smooth_noise(rng, shape, _NEST_SCALE_UM / mpp)
    nests += 0.15 * smooth_noise(rng, shape, _NEST_SCALE_UM / 5 / mpp)
    nests /= nests.std()
    nest = _above(nests, morphology.epithelium_share, 0.05)
    lumen = _above(nests, morphology.epithelium_share * morphology.tubule_share, 0.04)
    infiltrate = smooth_noise(rng, shape, _INFILTRATE_SCALE_UM / mpp)
    stroma = tissue * (1 - nest)
    return Tissue(
        tissue=tissue,
        epithelium=tissue * (nest - lumen),
        stroma=stroma,
        infiltrate=stroma * _above(infiltrate, morphology.lymphocyte_share, 0.2),
    )


def _outline(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """A piece of tissue: an ellipse with a ragged edge."""
    height, width = shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    bulge = 0.18 * smooth_noise(rng, shape, min(shape) / 4)
    ragged = 0.02 * smooth_noise(rng, shape, min(shape) / 60)
    inside = np.float32(0.7) - (x**2 + y**2) + bulge + ragged
    opacity: Field = (inside / np.float32(0.01)).clip(0, 1)
    return opacity


def _above(field: Field, share: float, softness: float) -> Field:
    """Opacity of the part of a standard Gaussian field that covers a share of the area."""
    threshold = np.float32(-ndtri(np.clip(share, 1e-6, 1 - 1e-6)))
    return ((field - threshold) / np.float32(softness) + np.float32(0.5)).clip(0, 1)


def _ground(rng: np.random.Generator, tissue: Tissue, mpp: float) -> tuple[Field, Field]:
    """Haematoxylin and eosin of what lies between the nuclei: cytoplasm and collagen."""
    shape = tissue.tissue.shape
    height, width = shape
    collagen = fibres(rng, (height, width), mpp)
    grain = smooth_noise(rng, (height, width), 2.5 / mpp)
    patchy = smooth_noise(rng, (height, width), 80 / mpp)
    # Between bundles of collagen the stroma is nearly empty.
    bundles = (0.40 + 0.15 * collagen + 0.08 * patchy).clip(0.06, 1.0)
    cytoplasm = 0.42 + 0.05 * grain + 0.05 * patchy
    eosin = tissue.stroma * bundles + tissue.epithelium * cytoplasm
    haematoxylin = 0.04 * tissue.stroma + tissue.epithelium * (0.22 + 0.04 * grain)
    return haematoxylin, eosin


def _nuclei(rng: np.random.Generator, morphology: Morphology, tissue: Tissue, mpp: float) -> Field:
    """Haematoxylin of all nuclei."""
    canvas = np.zeros(tissue.tissue.shape, dtype=np.float32)
    epithelial = NucleusKind(
        radius_um=morphology.nuclear_radius_um,
        size_spread=morphology.pleomorphism,
        elongation=1.35,
        irregularity=morphology.irregularity,
        haematoxylin=1.45,
        vesicularity=morphology.vesicularity,
    )
    populations = (
        (epithelial, tissue.epithelium, morphology.nuclear_spacing_um),
        (_FIBROBLAST, 0.8 * (tissue.stroma - tissue.infiltrate), _FIBROBLAST_SPACING_UM),
        (_LYMPHOCYTE, 0.9 * tissue.infiltrate, _LYMPHOCYTE_SPACING_UM),
    )
    for kind, density, spacing in populations:
        stamp(rng, canvas, place(rng, density, spacing / mpp), kind, mpp)
    chromatin = rng.standard_normal(canvas.shape, dtype=np.float32)
    canvas *= 1 + 0.12 * chromatin
    return canvas


def _pen_mark(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """A felt-tip line across a corner of the slide."""
    height, width = shape
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    if rng.random() < 0.5:
        x = 1 - x
    offset, slope, bend = rng.uniform((0.16, 0.7, -0.1), (0.24, 1.4, 0.1))
    line = y + np.float32(slope) * x + np.float32(bend) * np.sin(9 * x) - np.float32(offset)
    stroke: Field = ((0.025 - np.abs(line)) / 0.004).clip(0, 1).astype(np.float32)
    return np.float32(1.3) * stroke
