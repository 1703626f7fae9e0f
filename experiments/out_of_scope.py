"""How many slides of other organs, of glass and of a marker a model trained on breast withholds.

Used by experiments/trust.py. Training: patients made of real H&E tiles of breast cancer (TCGA),
each a mixture of tissue classes of its own, encoded by the offline ImageNet encoder; tiles of
held-out patients are no tiles of training. Names of tiles tell no slide, so these patients are
tiles dealt by chance: the false alarm rate is of such patients, not of hospitals.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageDraw

from histodistill.encoders.loading import load_encoder
from histodistill.features import open_bags
from histodistill.inference.scope import Scope
from histodistill.slides import open_slide

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
RESULT = HERE.parent / "runs" / "out-of-scope.csv"
TILE_PX, TILE_UM = 150, 37.5
TRAINING, HELD_OUT, GROUP, TILES = 120, 60, 10, 16
# Slides of other tissue, and µm/px where a slide records none.
SLIDES = {
    "kidney (overview)": ("kidney-48-5.tif", 1.0),
    "head and neck, frozen": ("tcga-cr-7395-01a-01-ts1.svs", 0.5),
    "Aperio test slide (tissue not recorded)": ("cmu-1-small-region.svs", None),
}


def breast_tiles(rng: np.random.Generator) -> dict[str, list[np.ndarray]]:
    """All tiles by class, in random order."""
    tiles: dict[str, list[np.ndarray]] = {}
    with tarfile.open(SHARED / "data" / "breast-tiles" / "tiles.tar") as archive:
        for entry in archive:
            if entry.name.endswith(".jpg"):
                content = archive.extractfile(entry)
                assert content is not None
                image = Image.open(io.BytesIO(content.read())).convert("RGB")
                tiles.setdefault(entry.name.split("/")[-2], []).append(np.asarray(image))
    for own in tiles.values():
        rng.shuffle(own)
    return tiles


def breast_patients(rng: np.random.Generator) -> list[list[np.ndarray]]:
    """Patients of training, then those held out; no tile is in two of them."""
    tiles = breast_tiles(rng)
    left = {name: iter(own) for name, own in tiles.items()}
    patients = []
    for _ in range(TRAINING + HELD_OUT):
        weights = rng.dirichlet([len(own) / 400 for own in tiles.values()])
        names = rng.choice(list(tiles), TILES, p=weights)
        own = [next(left[name], None) for name in names]
        patients.append([tile for tile in own if tile is not None])
    return [own for own in patients if len(own) >= TILES // 2]


def slide_tiles(path: Path, mpp: float | None, rng: np.random.Generator) -> list[np.ndarray]:
    """Tiles of tissue from anywhere in a slide."""
    found: list[np.ndarray] = []
    with open_slide(path, mpp=mpp) as slide:
        edge = TILE_UM / slide.mpp
        width, height = slide.dimensions
        for _ in range(4000):
            x, y = rng.uniform(0, width - edge), rng.uniform(0, height - edge)
            tile = slide.read_region_rgb(x, y, edge, edge, (TILE_PX, TILE_PX))
            if tile.std() > 8 and tile.mean() < 240:
                found.append(tile)
            if len(found) == GROUP * TILES:
                break
    return found


def glass(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Empty glass: nearly white, with a little noise and uneven light."""
    tiles = []
    for _ in range(n):
        slope = np.linspace(0, rng.uniform(0, 6), TILE_PX)[:, None, None]
        light = rng.uniform(225, 250) + rng.normal(0, 1, 3) + slope
        tiles.append(
            np.clip(light + rng.normal(0, 2, (TILE_PX, TILE_PX, 3)), 0, 255).astype(np.uint8)
        )
    return tiles


def marker(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    """Strokes of a pen on glass, in the colours that pathologists use."""
    tiles = []
    for ground in glass(rng, n):
        image = Image.fromarray(ground)
        colour = [(20, 30, 120), (10, 90, 40), (15, 15, 20), (150, 20, 30)][rng.integers(4)]
        ends = [tuple(int(v) for v in rng.integers(-40, 190, 2)) for _ in range(2)]
        ImageDraw.Draw(image).line(ends, fill=colour, width=int(rng.integers(50, 140)))
        tiles.append(np.asarray(image))
    return tiles


def groups(rng: np.random.Generator) -> Iterator[tuple[str, list[list[np.ndarray]]]]:
    """What is asked of the model: a name, and patients as lists of tiles."""
    for name, (file, mpp) in SLIDES.items():
        tiles = slide_tiles(SHARED / "slides" / file, mpp, rng)
        yield name, [tiles[i : i + TILES] for i in range(0, len(tiles) - TILES + 1, TILES)]
    yield "glass (simulated)", [glass(rng, TILES) for _ in range(GROUP)]
    yield "marker (simulated)", [marker(rng, TILES) for _ in range(GROUP)]


def measured(folder: Path) -> pd.DataFrame:
    """Share of patients out of scope, of each group."""
    rng = np.random.default_rng(0)
    encoder = load_encoder("efficientnet-lite0", device="cpu")
    patients = breast_patients(rng)

    def features(tiles: list[np.ndarray]) -> np.ndarray:
        return encoder.encode(torch.from_numpy(np.stack(tiles))).numpy()

    folder.mkdir(parents=True, exist_ok=True)
    training = {}
    for number, tiles in enumerate(patients[:TRAINING]):
        np.save(folder / f"{number}.npy", features(tiles))
        training[f"P{number:03d}"] = [folder / f"{number}.npy"]
    scope = Scope.fit(open_bags(training), list(training))
    everybody = [("breast, held out", patients[TRAINING:]), *groups(rng)]
    rows = []
    for name, own in everybody:
        out = [scope.reason(features(tiles).astype(np.float64)) != "" for tiles in own]
        rows.append({"slides": name, "patients": len(out), "withheld": float(np.mean(out))})
    return pd.DataFrame(rows)


def result() -> pd.DataFrame:
    """The table; read where an earlier call has written it."""
    if not RESULT.exists():
        table = measured(RESULT.parent / "out-of-scope")
        table.to_csv(RESULT, index=False)
    return pd.read_csv(RESULT)


if __name__ == "__main__":
    print(result().to_string())
