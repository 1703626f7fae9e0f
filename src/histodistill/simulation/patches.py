"""Simulated patch features: a bag of vectors in which a few patches show the shared latent.

For patch j of a slide of patient i from hospital h(i), of tissue type τ_j::

    x_j = c_τj + δ_h(i) + r + [τ_j = tumour] w z_s u + [τ_j ≠ tumour] v_d z_d v + ε_j
    δ ~ N(0, site_shift²),  r ~ N(0, slide_noise²),  ε ~ N(0, patch_noise²)   each feature

u and v are orthogonal unit vectors, w = `tumour_shift`, v_d = `distractor_shift`, c_τ the centre
of a tissue type. A slide's mixture of tissue types is Dirichlet distributed, with
`tumour_share` the mean share of tumour. So the shared latent z_s hides in a minority of
patches, and the distractor z_d, which means nothing, is in the majority. On slides with the
confounder, a stretch of patches is shifted along a third direction, whatever their tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histodistill.simulation.settings import SimulationSettings
from histodistill.simulation.truth import SimulatedSlide, Stream, generator

# Level-0 pixels (0.25 µm each): a patch of 256 px at 0.5 µm/px.
PATCH_SIZE_LEVEL0 = 512
_TISSUE_TYPES = 5
_TUMOUR = 0
_TYPE_SPREAD = 0.5
_MIXTURE_CONCENTRATION = 8.0


@dataclass(frozen=True)
class SimulatedPatches:
    """The patches of a slide, and what is true of each.

    Attributes:
        features: [n, F] float16.
        signal: Which show the shared latent, [n].
        confounded: Which show the confounder, [n].
    """

    features: NDArray[np.float16]
    signal: NDArray[np.bool_]
    confounded: NDArray[np.bool_]


@dataclass(frozen=True)
class PatchModel:
    """What all slides of a cohort have in common.

    Attributes:
        settings: The cohort's settings.
        centres: [5, F] centre of each tissue type, tumour first.
        site_shifts: [hospitals, F] offset of each hospital.
        shared_direction: [F] unit vector u along which the shared latent moves tumour patches.
        distractor_direction: [F] unit vector v, orthogonal to u.
        confounder_direction: [F] unit vector of the confounder, orthogonal to both.
    """

    settings: SimulationSettings
    centres: NDArray[np.float64]
    site_shifts: NDArray[np.float64]
    shared_direction: NDArray[np.float64]
    distractor_direction: NDArray[np.float64]
    confounder_direction: NDArray[np.float64]

    def draw_patches(self, slide: SimulatedSlide) -> SimulatedPatches:
        """Draw the patches of one slide."""
        settings = self.settings
        rng = generator(settings, Stream.PATCHES, *slide.key)
        count = int(rng.integers(settings.min_patches, settings.max_patches + 1))
        tissue = rng.choice(_TISSUE_TYPES, size=count, p=rng.dirichlet(_mixture(settings)))
        is_tumour = tissue == _TUMOUR
        tumour = is_tumour[:, None]
        bag: NDArray[np.float64] = self.centres[tissue] + self.site_shifts[slide.site]
        bag += settings.slide_noise * rng.standard_normal(settings.width)
        bag += settings.patch_noise * rng.standard_normal((count, settings.width))
        bag += tumour * settings.tumour_shift * slide.shared * self.shared_direction
        bag += ~tumour * settings.distractor_shift * slide.distractor * self.distractor_direction
        confounded = self._confounded(slide, count)
        if settings.confounder is not None:
            bag += confounded[:, None] * settings.confounder.shift * self.confounder_direction
        return SimulatedPatches(bag.astype(np.float16), is_tumour, confounded)

    def _confounded(self, slide: SimulatedSlide, count: int) -> NDArray[np.bool_]:
        """Which of a slide's patches show the confounder: a stretch of neighbours, or none."""
        confounder = self.settings.confounder
        if confounder is None or not slide.confounded:
            return np.zeros(count, dtype=bool)
        rng = generator(self.settings, Stream.CONFOUNDER, 1, *slide.key)
        size = max(round(confounder.patch_share * count), 1)
        first = int(rng.integers(count - size + 1))
        return np.isin(np.arange(count), np.arange(first, first + size))


def draw_patch_model(settings: SimulationSettings) -> PatchModel:
    """Draw the tissue types, hospital offsets and directions of a cohort."""
    rng = generator(settings, Stream.PATCH_MODEL)
    directions, _ = np.linalg.qr(rng.standard_normal((settings.width, 2)))
    another = generator(settings, Stream.PATCH_MODEL, 1).standard_normal(settings.width)
    another -= directions @ (directions.T @ another)
    return PatchModel(
        settings=settings,
        centres=_TYPE_SPREAD * rng.standard_normal((_TISSUE_TYPES, settings.width)),
        site_shifts=settings.site_shift * rng.standard_normal((settings.n_sites, settings.width)),
        shared_direction=directions[:, 0],
        distractor_direction=directions[:, 1],
        confounder_direction=another / np.linalg.norm(another),
    )


def disc_coordinates(count: int, step: int = PATCH_SIZE_LEVEL0) -> NDArray[np.int64]:
    """Lay patches out as a disc of tissue on a regular grid, row by row.

    Args:
        count: Number of patches n.
        step: Distance of neighbouring patches, level-0 pixels.

    Returns:
        [n, 2] x and y of each patch's upper left corner, level-0 pixels.
    """
    side = 2 * int(np.ceil(np.sqrt(count / np.pi))) + 3
    y, x = np.divmod(np.arange(side * side), side)
    distance = (x - side // 2) ** 2 + (y - side // 2) ** 2
    inside = np.sort(np.argsort(distance, kind="stable")[:count])
    return np.stack([x[inside], y[inside]], axis=1).astype(np.int64) * step


def _mixture(settings: SimulationSettings) -> NDArray[np.float64]:
    """Dirichlet parameters of a slide's tissue types, tumour first."""
    other = (1 - settings.tumour_share) / (_TISSUE_TYPES - 1)
    shares = np.array([settings.tumour_share] + [other] * (_TISSUE_TYPES - 1))
    return _MIXTURE_CONCENTRATION * shares
