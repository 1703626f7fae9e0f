"""How much the patches of a patient differ, measured on a sample of the bags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histodistill.features import SlideFeatures, check_slides, inspect
from histodistill.features.formats import read_values
from histodistill.features.within_bags import patches_differ, share_within

# Patients who are looked at, spread over the cohort, and patches that are read of each.
_PATIENTS, _PATCHES = 64, 128
# What patients differ in cannot be told from one.
_FEWEST = 2


@dataclass(frozen=True)
class Variation:
    """How much patches differ within patients.

    Attributes:
        share: Share of the variance of patches that lies within patients.
        patients: On how many it was measured.
    """

    share: float
    patients: int

    @property
    def differ(self) -> bool:
        """Whether programmes and proportions will tell tissue apart among patches."""
        return patches_differ(self.share)


def measured_variation(files: Mapping[str, Sequence[Path]]) -> Variation | None:
    """Measure how much patches differ within patients; the same patches at every call.

    Args:
        files: Feature files of each patient.

    Returns:
        None for a single patient.

    Raises:
        InputError: A file that was looked at is damaged, holds NaN or infinite values, or was not
            made like the others.
    """
    chosen = _spread(sorted(files))
    if len(chosen) < _FEWEST:
        return None
    slides = [[inspect(path) for path in files[patient]] for patient in chosen]
    check_slides([slide for own in slides for slide in own])
    rng = np.random.default_rng(0)
    return Variation(share_within([_sampled(own, rng) for own in slides]), len(chosen))


def _spread(patients: Sequence[str]) -> list[str]:
    """Some of the patients, from all over the list."""
    places = np.linspace(0, len(patients) - 1, min(_PATIENTS, len(patients)))
    return [patients[place] for place in places.round().astype(int)]


def _sampled(slides: Sequence[SlideFeatures], rng: np.random.Generator) -> NDArray[np.float32]:
    """Patches of a patient [n, F], drawn from all slides alike; only these are read."""
    ends = np.cumsum([slide.n_patches for slide in slides])
    drawn = np.sort(rng.permutation(ends[-1])[:_PATCHES])
    parts = []
    for slide, end in zip(slides, ends, strict=True):
        first = end - slide.n_patches
        rows = drawn[(drawn >= first) & (drawn < end)] - first
        if len(rows):
            parts.append(np.asarray(read_values(slide, rows, "float32")))
    return np.concatenate(parts)
