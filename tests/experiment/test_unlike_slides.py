"""Slides that were not made like the others, where no file says so."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from histodistill.experiment.unlike_slides import misplaced_patches, unlike_slides
from histodistill.features import open_bags

N, WIDTH = 40, 16
RNG = np.random.default_rng(0)
MEAN = 2 * RNG.normal(size=WIDTH)


def bags(folder, change=lambda number, patches: patches, coords=None):
    """Slides of one encoder, some of them changed."""
    rng = np.random.default_rng(1)
    slides: dict[str, list[Path]] = {}
    for number in range(N):
        tissue = MEAN + 0.4 * rng.normal(size=WIDTH)
        patches = (tissue + rng.normal(size=(rng.integers(6, 12), WIDTH))).astype(np.float32)
        path = folder / f"{number}.h5"
        with h5py.File(path, "w") as file:
            file["features"] = change(number, patches)
            places = np.arange(2 * len(patches)).reshape(-1, 2) * 256
            file["coords"] = places if coords is None else coords(number, places)
        slides.setdefault(f"P{number // 2}", []).append(path)
    return open_bags(slides)


def some(what, first=25):
    return lambda number, patches: what(patches) if number >= first else patches


def test_slides_of_one_encoder_are_not_told(tmp_path):
    assert list(unlike_slides(bags(tmp_path))) == []
    assert list(unlike_slides(None)) == []


@pytest.mark.parametrize("first", [25, 38])
@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda patches: patches * 10, "times as large as the others'"),
        (lambda patches: patches / np.linalg.norm(patches, axis=1)[:, None], "times as large"),
        (lambda patches: patches[:, ::-1], "another mean patch than the others"),
        (lambda patches: -patches, "another mean patch than the others"),
    ],
    ids=["scaled", "normalised", "columns", "signs"],
)
def test_another_encoder_shows_in_the_values(tmp_path, first, change, part):
    (note,) = unlike_slides(bags(tmp_path, some(change, first)))
    assert note.startswith(f"{N - first} of {N} feature files ({first}.h5")
    assert part in note


def test_another_dtype_is_told(tmp_path):
    (note,) = unlike_slides(bags(tmp_path, some(lambda patches: patches.astype(np.float16), 39)))
    assert note.startswith("1 feature files hold float16 values and 39 float32 (39.h5)")


def test_patches_lost_to_zeros_are_told(tmp_path):
    def emptied(patches):
        patches[-2:] = 0
        return patches

    (note,) = unlike_slides(bags(tmp_path, some(emptied, 39)))
    assert note.startswith("1 slides have patches whose features are all 0 (39.h5)")


def test_patches_in_one_place_and_at_two_magnifications_are_told(tmp_path):
    def placed(number, places):
        if number == 5:
            places[1] = places[0]
        return places * 4 if number == 9 else places

    assert list(misplaced_patches(bags(tmp_path))) == []
    place, magnification = misplaced_patches(bags(tmp_path, coords=placed))
    assert place.startswith("1 slides have several patches in one place: 5.h5 (1)")
    assert magnification.startswith("1 patients have slides whose patches lie at 1.9 times")
    assert "P4" in magnification
