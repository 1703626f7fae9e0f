"""Hospitals change how strongly and in which colour stains absorb, and nothing else."""

from __future__ import annotations

import numpy as np

from histodistill.simulation.tiles import hospital_stains
from histodistill.simulation.tiles.stain import restain


def test_without_a_shift_there_is_one_stain_that_changes_nothing() -> None:
    assert hospital_stains(4, 0.0) == [None]
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    np.testing.assert_array_equal(restain(pixels, None), pixels)


def test_a_hospital_stains_alike_however_many_there_are() -> None:
    few, many = (np.array(hospital_stains(count, 0.1), dtype=float) for count in (2, 5))
    np.testing.assert_array_equal(few, many[:2])
    assert not np.allclose(many[0], many[1])


def test_a_vanishing_shift_leaves_pixels_as_they_are() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 5, 3)).astype(np.uint8)
    (stain,) = hospital_stains(1, 1e-9)
    np.testing.assert_allclose(restain(pixels, stain).astype(int), pixels, atol=1)


def test_glass_stays_glass_and_a_larger_shift_moves_colours_further() -> None:
    glass = np.full((1, 1, 3), 255, dtype=np.uint8)
    tissue = np.full((1, 1, 3), (150, 80, 160), dtype=np.uint8)
    moved = []
    for shift in (0.05, 0.2):
        (stain,) = hospital_stains(1, shift)
        np.testing.assert_array_equal(restain(glass, stain), glass)
        moved.append(np.abs(restain(tissue, stain).astype(int) - tissue).sum())
    assert 0 < moved[0] < moved[1]
