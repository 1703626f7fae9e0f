"""Two patients with slides, features and genes, and a model that answers them."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from histodistill.slides import SlideImage
from tests.deploy.bundles import WIDTH, bundle, expression

SIDE = 64
PATTERN = "^(.)"
SIZE = 8 * SIDE, 6 * SIDE


def write_inputs(folder: Path) -> Path:
    """``model``, ``features``, ``slides``, ``genes.csv`` and ``clinical.csv``.

    The left half of the slide of A differs from its right half; the patches of B are all alike, and
    its slide is absent.
    """
    bundle().save(folder / "model")
    (folder / "features").mkdir()
    rng = np.random.default_rng(0)
    xs, ys = np.meshgrid(np.arange(8), np.arange(6))
    coords = np.stack([xs.ravel(), ys.ravel()], axis=1) * SIDE
    different = rng.normal(0, 0.3, (48, WIDTH))
    different[coords[:, 0] < 4 * SIDE] += 2 * rng.normal(0, 1, WIDTH)
    alike = np.tile(rng.normal(0, 1, WIDTH), (48, 1)) + rng.normal(0, 1e-4, (48, WIDTH))
    for name, values in (("A-1", different), ("B-1", alike)):
        with h5py.File(folder / "features" / f"{name}.h5", "w") as file:
            file["features"] = values.astype(np.float32)
            file["coords"] = coords
            attributes = {"patch_size": SIDE, "target_magnification": 20, "patch_size_level0": SIDE}
            file["coords"].attrs.update(attributes)
    (folder / "slides").mkdir()
    Image.fromarray(picture()).save(folder / "slides" / "A-1.png")
    genes = expression(["A"]).rename_axis("PATIENT").reset_index()
    genes.to_csv(folder / "genes.csv", index=False)
    (folder / "clinical.csv").write_text("PATIENT,ER,SITE\nA,positive,north\nB,negative,south\n")
    return folder


def picture() -> np.ndarray:
    """The slide of A: smooth, so that resampling hardly changes it."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    wave = 60 * np.sin(x / 60) + 40 * np.cos(y / 45)
    return (
        np.stack([180 + wave * c for c in (0.5, 1.0, 0.2)], axis=-1).clip(0, 255).astype(np.uint8)
    )


def images(folder: Path) -> dict[str, SlideImage]:
    """The slides at hand."""
    return {"A-1": SlideImage(folder / "slides" / "A-1.png", mpp=0.5)}
