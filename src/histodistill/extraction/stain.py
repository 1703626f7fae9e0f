"""Stain normalisation of patches, through torchstain.

Macenko et al., A method for normalizing histology slides for quantitative analysis, ISBI 2009;
Reinhard et al., Color transfer between images, IEEE CG&A 2001.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError
from histodistill.extraction.defaults import Stain

Pixels = NDArray[np.uint8]
Normaliser = Callable[[Pixels], Pixels]

# Mean and standard deviation of L, a, b that a patch is brought to: those of ordinary H&E tissue.
_REINHARD_MEANS = np.array([60.0, 22.0, -12.0])
_REINHARD_DEVIATIONS = np.array([16.0, 10.0, 7.0])

# Macenko estimates two stains from a patch's stained pixels; with fewer of them it cannot.
_STAINED_DENSITY = 0.15
_LEAST_STAINED = 0.02


def stain_normaliser(stain: Stain) -> Normaliser | None:
    """What normalises one patch ``[H, W, 3]``; None where nothing is wanted.

    Raises:
        InputError: torchstain is not installed.
    """
    if stain == "none":
        return None
    try:
        normalizers = import_module("torchstain").normalizers
    except ImportError as error:
        raise InputError(
            f"Stain normalisation ({stain}) needs the extra 'stain': pip install "
            "'histodistill[stain]'."
        ) from error
    return _macenko(normalizers) if stain == "macenko" else _reinhard(normalizers)


def _macenko(normalizers: ModuleType) -> Normaliser:
    macenko = normalizers.MacenkoNormalizer(backend="numpy")

    def normalise(patch: Pixels) -> Pixels:
        density = -np.log((patch.astype(np.float64) + 1) / 240)
        if (density >= _STAINED_DENSITY).all(axis=2).mean() < _LEAST_STAINED:
            return patch
        normalised: Pixels = macenko.normalize(patch, stains=False)[0]
        return normalised

    return normalise


def _reinhard(normalizers: ModuleType) -> Normaliser:
    reinhard = normalizers.ReinhardNormalizer(backend="numpy")
    reinhard.target_means = _REINHARD_MEANS
    reinhard.target_stds = _REINHARD_DEVIATIONS

    def normalise(patch: Pixels) -> Pixels:
        if np.ptp(patch, axis=(0, 1)).min() == 0:
            return patch  # one flat channel has no deviation to divide by
        normalised: Pixels = reinhard.normalize(patch)
        return normalised

    return normalise
