"""Slides whose patches all have the same features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from histodistill.features import open_bags
from histodistill.features.flat import flat_bags


def test_a_flat_slide_beside_others_is_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    slides = {
        "a-1": rng.normal(size=(5, 3)),
        "a-2": np.zeros((4, 3)),
        "b-1": np.ones((6, 3)),
        "c-1": np.concatenate([np.ones((2, 3)), rng.normal(size=(1, 3))]),
        "d-1": rng.normal(size=(1, 3)),
    }
    for name, values in slides.items():
        np.save(tmp_path / f"{name}.npy", values.astype(np.float32))
    paths = {
        patient: [tmp_path / f"{name}.npy" for name in slides if name[0] == patient]
        for patient in "abcd"
    }
    for cache in (None, tmp_path / "cache"):
        patients, single = flat_bags(open_bags(paths, cache=cache))
        assert patients.startswith("1 patients have the same features in every patch")
        assert "which no tissue has: b;" in patients
        assert "which no tissue has: a-2.npy (a);" in single
    assert list(flat_bags(None)) == []
