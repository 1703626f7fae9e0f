r"""Slides of real tiles: how much of each tissue a patient's slide holds, and where.

The shared latent z_s of `histodistill.simulation.truth` has two parts, one that common tissue
shows and one that rare tissue shows. With u ~ N(0, 1), independent of z_s, and ρ = `rare_part`::

    z_c = sqrt(1-ρ) z_s + sqrt(ρ) u          common latent
    z_r = sqrt(ρ) z_s - sqrt(1-ρ) u          rare latent, independent of z_c

so that z_s = sqrt(1-ρ) z_c + sqrt(ρ) z_r. A slide's shares of the rare and of the common classes,
and the weight of each class k of the others::

    logit p_r = logit(rare_share) + rare_strength z_r + τ ε
    logit p_c = logit(common_share) + common_strength z_c + τ ε     of the patches that are not rare
    log w_k   = ± distractor_strength z_d + τ ε_k

with τ = `tissue_noise`, ε ~ N(0, 1) each, and the sign + for every other class by name. Several
common (or rare) classes share theirs by weights exp(τ ε_k). Every patch is then a class drawn with
these probabilities, and a tile of that class drawn from those of the patient's part
(`histodistill.simulation.tiles.parts`). Patches of a class lie together.

At ρ = 0 all that slides tell is the share of common tissue, and rare tissue means nothing; at
ρ = 1 it is the other way round. Genes show z_s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from histodistill.errors import InputError
from histodistill.simulation.patches import disc_coordinates
from histodistill.simulation.texture import smooth_noise
from histodistill.simulation.tiles.features import TileFeatures
from histodistill.simulation.tiles.library import TileLibrary
from histodistill.simulation.tiles.parts import patient_parts, tile_pools
from histodistill.simulation.tiles.settings import TileSettings
from histodistill.simulation.truth import SimulatedSlide, Stream, draw_truth, generator

_REGIONS_ACROSS = 4
_RAGGEDNESS = 0.3


@dataclass(frozen=True)
class Latents:
    """What a patient's slides show, and which tiles they are made of.

    Attributes:
        common: The common latent z_c.
        rare: The rare latent z_r.
        part: Number of the part whose tiles the patient draws from.
    """

    common: float
    rare: float
    part: int


@dataclass(frozen=True)
class TilePatches:
    """The patches of a slide, and what is true of each.

    Attributes:
        features: [n, F] float16.
        tile: [n] number of the tile in the library.
        tissue: [n] number of its class.
        signal: [n] whether its class shows something of the shared latent.
        cells: [n, 2] column and row of each patch on the slide, in patches.
    """

    features: NDArray[np.float16]
    tile: NDArray[np.int64]
    tissue: NDArray[np.int64]
    signal: NDArray[np.bool_]
    cells: NDArray[np.int64]


@dataclass(frozen=True)
class TileModel:
    """What all slides of a cohort have in common.

    Attributes:
        settings: The cohort's settings.
        library: The tiles.
        features: Features of each, in each hospital's stain.
        latents: Of every patient.
        pools: Tiles of each part and, in it, of each class.
    """

    settings: TileSettings
    library: TileLibrary
    features: TileFeatures
    latents: Mapping[str, Latents]
    pools: Sequence[Sequence[NDArray[np.int64]]]

    def draw_patches(self, slide: SimulatedSlide) -> TilePatches:
        """Draw the patches of one slide."""
        rng = generator(self.settings, Stream.TISSUE, 1, *slide.key)
        latents = self.latents[slide.patient]
        shares = self._shares(rng, latents, slide.distractor)
        count = self.settings.n_patches
        cells = disc_coordinates(count, 1)
        tissue = _laid_out(rng, rng.choice(len(shares), size=count, p=shares), cells)
        tile = np.empty(count, dtype=np.int64)
        for number, pool in enumerate(self.pools[latents.part]):
            here = tissue == number
            tile[here] = rng.choice(pool, size=int(here.sum()))
        stain = slide.site if len(self.features.values) > 1 else 0
        signal = np.isin(tissue, self._numbers(self.settings.signal_classes))
        return TilePatches(self.features.values[stain, tile], tile, tissue, signal, cells)

    def _numbers(self, classes: Sequence[str] | frozenset[str]) -> list[int]:
        return [number for number, name in enumerate(self.library.classes) if name in classes]

    def _shares(
        self, rng: np.random.Generator, latents: Latents, distractor: float
    ) -> NDArray[np.float64]:
        """The expected share of each class on a slide, [classes]."""
        settings, n_classes = self.settings, len(self.library.classes)
        noise = settings.tissue_noise * rng.standard_normal(n_classes + 2)
        rare = expit(logit(settings.rare_share) + settings.rare_strength * latents.rare + noise[0])
        common = expit(
            logit(settings.common_share) + settings.common_strength * latents.common + noise[1]
        )
        groups = [self._numbers(settings.rare_classes), self._numbers(settings.common_classes)]
        others = sorted(set(range(n_classes)).difference(*groups))
        logs = noise[2:]
        logs[others] += settings.distractor_strength * distractor * _alternating(len(others))
        shares = np.zeros(n_classes)
        amounts = (rare, (1 - rare) * common, (1 - rare) * (1 - common))
        for members, amount in zip((*groups, others), amounts, strict=True):
            weights = np.exp(logs[members] - logs[members].max())
            shares[members] = amount * weights / weights.sum()
        return shares


def draw_tile_model(
    settings: TileSettings, library: TileLibrary, features: TileFeatures
) -> TileModel:
    """Draw what the slides of a cohort have in common.

    Args:
        settings: The cohort's settings.
        library: The tiles.
        features: From `encode_tiles`, in the stains of the settings' hospitals.

    Raises:
        InputError: Classes that the settings name and the folder has not, nothing but such
            classes, or too few tiles for the parts.
    """
    check_classes(settings, library)
    truth = draw_truth(settings)
    parts = patient_parts(settings, truth)
    pools = tile_pools(settings, library, parts)
    return TileModel(settings, library, features, draw_latents(settings, truth, parts), pools)


def draw_latents(
    settings: TileSettings, truth: pd.DataFrame, parts: NDArray[np.int64]
) -> dict[str, Latents]:
    """The latents of every patient."""
    shared = truth["SHARED"].to_numpy()
    other = generator(settings, Stream.TISSUE, 0).standard_normal(len(truth))
    of_rare, of_common = np.sqrt([settings.rare_part, 1 - settings.rare_part])
    common, rare = of_common * shared + of_rare * other, of_rare * shared - of_common * other
    drawn = zip(truth["PATIENT"], common.tolist(), rare.tolist(), parts.tolist(), strict=True)
    return {patient: Latents(c, r, part) for patient, c, r, part in drawn}


def check_classes(settings: TileSettings, library: TileLibrary) -> None:
    """Refuse classes that the settings name and the folder has not.

    Raises:
        InputError: Every one; or no class is left that shows nothing of the label.
    """
    problems = [
        f"{library.folder}: has no class {name}, which {setting} names; its classes are "
        f"{', '.join(library.classes)}."
        for setting in ("common_classes", "rare_classes")
        for name in getattr(settings, setting)
        if name not in library.classes
    ]
    named = {*settings.common_classes, *settings.rare_classes}
    if named.issuperset(library.classes):
        problems.append(
            f"{library.folder}: all of its classes are common_classes or rare_classes; leave one "
            "that is neither."
        )
    if problems:
        raise InputError(*problems)


def _alternating(count: int) -> NDArray[np.float64]:
    """+1, -1, +1, ..."""
    signs: NDArray[np.float64] = 1.0 - 2.0 * (np.arange(count, dtype=np.float64) % 2)
    return signs


def _laid_out(
    rng: np.random.Generator, tissue: NDArray[np.int64], cells: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The classes in an order in which neighbouring cells mostly have the same."""
    side = int(cells.max()) + 1
    field = smooth_noise(rng, (side, side), max(side / _REGIONS_ACROSS, 1.0))
    height = field[cells[:, 1], cells[:, 0]] + _RAGGEDNESS * rng.standard_normal(len(cells))
    rank_of_class = rng.permutation(int(tissue.max()) + 1)
    placed = np.empty_like(tissue)
    placed[np.argsort(height, kind="stable")] = tissue[np.argsort(rank_of_class[tissue])]
    return placed
