"""Trainings in one pass against the same trainings one after the other.

    python benchmarks/passes.py
    python benchmarks/passes.py --device cuda --patches 12000 --width 1024

Generates patients, and trains several models of one recipe for some epochs: each alone, then
all in one pass. The first thing that is checked is that both give the same losses. Rounds
alternate; what counts is the ratio in a round. Networks are of the paper's sizes; each model has
patients of its own, as folds do.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from histodistill.experiment import MethodSettings
from histodistill.experiment.methods import resolved_method
from histodistill.features import open_bags
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.preparation import PreparedPatients, Transforms
from histodistill.training.loop.initial_networks import build_networks
from histodistill.training.loop.shared_pass import pays, train_together
from histodistill.training.loop.trainer import Trainer

RECIPES = ("linear", "linear-genomic", "snn", "genomic", "abmil", "multimodal", "mkd")
CLASSES = 2


def cohort(patients: int, patches: int, width: int, genes: int, folder: Path) -> PreparedPatients:
    """Random patients with slides, genes and labels, kept in memory."""
    rng = np.random.default_rng(0)
    names = [f"P{number:04d}" for number in range(patients)]
    for name in names:
        np.save(folder / f"{name}.npy", rng.standard_normal((patches, width)).astype("float16"))
    values = rng.standard_normal((patients, genes)).astype("float32")
    table = pd.DataFrame(values, index=names, columns=[f"G{n}" for n in range(genes)])
    block = GenomicPreprocessor(selection=SelectionSettings(method="variance", n_genes=genes))
    block.fit(table)
    transforms = Transforms(None, {"mrna": block})
    return PreparedPatients(
        open_bags({name: [folder / f"{name}.npy"] for name in names}),
        transforms.scaled({"mrna": table}),
        transforms,
        512,
        {name: row % CLASSES for row, name in enumerate(names)},
    )


def trainers(
    method: MethodSettings, patients: PreparedPatients, names: Sequence[str], models: int
) -> list[Trainer]:
    """One a model; each validates on another fifth of the patients."""
    made = []
    for seed in range(models):
        held_out = set(names[seed % 5 :: 5])
        networks = build_networks(method, patients.feature_width, patients.blocks, CLASSES, seed)
        made.append(
            Trainer(
                networks,
                method,
                patients,
                training=[name for name in names if name not in held_out],
                validation=sorted(held_out),
                seed=seed,
                device=torch.device(method.training.device),
            )
        )
    return made


def alone(run: Sequence[Trainer], folder: Path) -> None:
    """One after the other."""
    for number, trainer in enumerate(run):
        trainer.fit(folder / f"alone-{number}")


def together(run: Sequence[Trainer], folder: Path) -> None:
    """In one pass."""
    for number, trainer in enumerate(run):
        trainer.begin(folder / f"together-{number}")
    problems = [problem for problem in train_together(run) if problem is not None]
    if problems:
        raise problems[0]


def seconds(run: Callable[[], None]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compared(make: Callable[[], list[Trainer]], rounds: int) -> list[tuple[float, float]]:
    """Seconds alone and together, a pair a round; both end with the same validation figures."""
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            one, other = make(), make()
            times.append(
                (
                    seconds(partial(alone, one, Path(name))),
                    seconds(partial(together, other, Path(name))),
                )
            )
            for a, b in zip(one, other, strict=True):
                np.testing.assert_allclose(a.best_figure, b.best_figure, rtol=1e-2)
    return times


def main() -> None:
    """Print a table, a row a recipe and number of models."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES))
    parser.add_argument("--models", type=int, nargs="+", default=[5, 15])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--patients", type=int, default=160)
    parser.add_argument("--patches", type=int, default=400)
    parser.add_argument("--sample", type=int, default=64, help="patches drawn; 0: whole bags")
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--genes", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads, {options.device}\n")
    print("| recipe | models | alone, s | one pass, s | times faster | chosen |\n|" + "---|" * 6)
    training = {
        "device": options.device,
        "max_epochs": options.epochs,
        "patches": options.sample or None,
    }
    with tempfile.TemporaryDirectory() as folder:
        sizes = options.patients, options.patches, options.width, options.genes
        patients = cohort(*sizes, Path(folder))
        names = [f"P{number:04d}" for number in range(options.patients)]
        for recipe in options.recipes:
            method = MethodSettings.model_validate(resolved_method(recipe, None, training))
            for models in options.models:
                make = partial(trainers, method, patients, names, models)
                times = compared(make, options.rounds)
                print(row(recipe, models, times, method, options.device), flush=True)


def row(
    recipe: str,
    models: int,
    times: Sequence[tuple[float, float]],
    method: MethodSettings,
    device: str,
) -> str:
    """One row of the table."""
    ratios = [one / other for one, other in times]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    one, other = (statistics.median(column) for column in zip(*times, strict=True))
    chosen = "one pass" if pays(method, torch.device(device)) else "alone"
    return f"| {recipe} | {models} | {one:.2f} | {other:.2f} | {spread} | {chosen} |"


if __name__ == "__main__":
    main()
