"""Maps of one large slide: what the pieces take, and how that compares with integrated gradients.

    OMP_NUM_THREADS=1 python benchmarks/explain.py
    OMP_NUM_THREADS=1 python benchmarks/explain.py --patches 5000 --width 640 --rounds 3

A bundle of the student of MKD with random weights, and a slide of stored float16 features. Rounds
alternate; what is told is the median and the least and most of processor time. Integrated gradients
of the whole network, with 20 steps and one class, are the usual way to such a map, and come without
a certificate.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from histodistill import BagStore, Bundle, explain, open_bags
from histodistill.deploy import BundleInfo, FeatureOrigin
from histodistill.explanation.certificate import certify
from histodistill.explanation.contributions import pooled_contributions
from histodistill.explanation.overlay import Legend, draw_overlay
from histodistill.explanation.palette import density
from histodistill.explanation.patients import PatientMap, patient_blocks
from histodistill.explanation.raster import places_of
from histodistill.explanation.removal import removal_of
from histodistill.inference import Member
from histodistill.model import Bags, Networks, NetworkSettings
from histodistill.preparation import Transforms

IG_STEPS = 20
SIDE = 256
PICTURE_PX = 2000


def main() -> None:
    """Print a table, a row a piece."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patches", type=int, default=20_000)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        file = written(Path(folder) / "slide.h5", options.patches, options.width)
        pieces = pieces_of(file, bundle(options.width))
        taken = {name: measured(run, options.rounds) for name, run in pieces.items()}
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print("| piece | processor time, ms: median (least to most) |\n|---|---|")
    for name, times in taken.items():
        told = f"{statistics.median(times):.0f} ({min(times):.0f} to {max(times):.0f})"
        print(f"| {name} | {told} |")
    whole, usual = (statistics.median(taken[n]) for n in ("map and certificate", _USUAL))
    print(f"\nIntegrated gradients take {usual / whole:.1f} times as long as the certified map.")


_USUAL = f"integrated gradients, {IG_STEPS} steps"


def pieces_of(file: Path, model: Bundle) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    bags = opened(file)
    (found,) = explain(model, bags)
    student: Any = model.members[0].networks.student
    batch = bags_of(bags.bag("patient"))
    with torch.no_grad():
        parts = student.parts(batch)
    shares = pooled_contributions(parts)
    block = patient_blocks(bags.slides("patient"), 16)
    attention = parts.weights.mean(dim=1).numpy()
    removal = removal_of(parts)
    return {
        "map and certificate": lambda: list(explain(model, opened(file))),
        "of it: opening and reading the file": lambda: opened(file).bag("patient"),
        "of it: network, patch by patch": lambda: torch.no_grad()(student.parts)(batch),
        "of that: its two products alone": lambda: products(student, batch.patches.float()),
        "of it: contributions": lambda: pooled_contributions(parts),
        "of it: certificate": lambda: certify(
            [removal], shares.support(1), attention, 1, 1, 0.5, block
        ),
        "overlay, drawn and compressed": lambda: overlay(found, file.with_suffix(".png")),
        _USUAL: lambda: integrated_gradients(student, batch.patches),
    }


def overlay(found: PatientMap, path: Path) -> None:
    """The picture of a map on white tissue."""
    places = places_of(found.slides[0], None)
    assert places is not None
    downsample = max(places.extent()) / PICTURE_PX
    width, height = (int(edge / downsample) for edge in places.extent())
    picture = draw_overlay(
        Image.new("RGB", (width, height), "white"),
        places,
        density(found.contributions.support(1)),
        Legend("slide", ["faithful"], "negative", "positive"),
        size=(width, height),
        downsample=downsample,
        mpp=8.0,
    )
    picture.save(path)


def products(student: Any, patches: Tensor) -> None:
    """What no way around float32 saves: the first layer's product, and that of the gates."""
    with torch.no_grad():
        for rows in torch.split(patches, 2048):
            hidden = rows @ student.patches[0].weight.T
            hidden @ student.attention.gate.weight.T


def integrated_gradients(student: Any, patches: Tensor) -> Tensor:
    """The plain sum over 20 steps from a bag of zeros, for one class."""
    total = torch.zeros_like(patches)
    for step in range(IG_STEPS):
        place = (patches * ((step + 0.5) / IG_STEPS)).requires_grad_()
        (slope,) = torch.autograd.grad(student(bags_of(place)).logits[0, 1], place)
        total += slope
    return (total * patches / IG_STEPS).sum(dim=1)


def bags_of(patches: Tensor) -> Bags:
    """One bag."""
    return Bags((patches,), (len(patches),), torch.tensor([0]), None, torch.float32)


def opened(file: Path) -> BagStore:
    """The slide as the bag of a patient."""
    return open_bags({"patient": [file]})


def written(file: Path, n_patches: int, width: int) -> Path:
    """Random float16 features on a grid, as TRIDENT stores them."""
    rng = np.random.default_rng(0)
    across = int(np.ceil(np.sqrt(n_patches)))
    place = np.arange(n_patches)
    with h5py.File(file, "w") as stream:
        stream["features"] = rng.normal(size=(n_patches, width)).astype(np.float16)
        stream["coords"] = np.stack([place % across, place // across], axis=1) * SIDE
        recorded = {"patch_size": SIDE, "target_magnification": 20, "patch_size_level0": SIDE}
        stream["coords"].attrs.update(recorded)
    return file


def bundle(width: int) -> Bundle:
    """The student of MKD with random weights."""
    networks = Networks(width, {}, 2, NetworkSettings(networks=("student",)))
    info = BundleInfo(
        target="ER",
        classes=("negative", "positive"),
        positive="positive",
        features=FeatureOrigin(width=width, encoder=None),
        blocks={},
        recipe="abmil",
        provenance={},
    )
    return Bundle(info, (Member(networks.eval(), Transforms(None, {}), {"student": 0.5}),))


def measured(run: Callable[[], object], rounds: int) -> list[float]:
    """Processor time of some runs, ms; the first is not counted."""
    run()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        run()
        taken.append((time.process_time() - started) * 1000)
    return taken


if __name__ == "__main__":
    main()
