"""What surrounds training, each step against the plain way to take it.

    OMP_NUM_THREADS=1 python benchmarks/surroundings.py --rounds 5

Both ways give the same result, which is checked first. Rounds alternate; what counts is the ratio
of processor time in a round.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.linear_model import RidgeCV
from sklearn.utils.class_weight import compute_sample_weight

from histodistill.baselines import elastic_net
from histodistill.evaluation import intervals
from histodistill.preparation.penalty import best_penalty
from histodistill.report.plots import DPI, write_figure

PENALTIES = np.logspace(-1.5, 2.5, 17)
PATIENTS, FEATURES, PROGRAMMES, METHODS = 1_000, 512, 30, 60

Way = Callable[[], object]


def main() -> None:
    """Print a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| step | plain, s | here, s | times faster |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for step, (plain, here) in steps(Path(name)).items():
            print(row(step, plain, here, rounds), flush=True)


def steps(folder: Path) -> dict[str, tuple[Way, Way]]:
    """Of each step the plain way and the one that the library takes."""
    inputs, scores = cohort()
    labels = (scores[:500, 0] > 0).astype(np.int64)
    assert RidgeCV(alphas=PENALTIES).fit(inputs, scores).alpha_ == best_penalty(
        inputs, scores, PENALTIES
    )
    return {
        "the best of 17 penalties, 1,000 patients, 512 features": (
            lambda: RidgeCV(alphas=PENALTIES).fit(inputs, scores),
            lambda: best_penalty(inputs, scores, PENALTIES),
        ),
        "an elastic net's path of 6 penalties, 300 patients, 1,200 genes": (
            lambda: path(elastic_net._elastic_net),
            lambda: path(elastic_net._screened),
        ),
        "2,000 resamples of 500 patients for 60 methods": (
            lambda: drawn(labels, kept=False),
            lambda: drawn(labels, kept=True),
        ),
        "a figure of three panels, as PNG and SVG": (
            lambda: drawn_twice(figure(), folder),
            lambda: write_figure(figure(), folder, "here"),
        ),
        "importing the normal distribution": (
            lambda: imported("scipy.stats"),
            lambda: imported("scipy.special"),
        ),
    }


def cohort() -> tuple[np.ndarray, np.ndarray]:
    """Features and scores of mean 0."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(PATIENTS, FEATURES))
    scores = inputs @ rng.normal(size=(FEATURES, PROGRAMMES)) / 8
    scores += rng.normal(size=scores.shape)
    return inputs - inputs.mean(axis=0), scores - scores.mean(axis=0)


def path(solve: Callable[..., tuple[np.ndarray, float]]) -> None:
    """Fits from strong to weak penalties, half of the genes near copies of others."""
    rng = np.random.default_rng(0)
    genes = rng.normal(size=(300, 600))
    genes = np.concatenate([genes, genes + 0.1 * rng.normal(size=genes.shape)], axis=1)
    positive = genes[:, :20].sum(axis=1) + 4 * rng.normal(size=len(genes)) > 0
    weights = compute_sample_weight("balanced", positive)
    fitted, mixing = (np.zeros(genes.shape[1]), 0.0), 0.5
    strongest = np.abs((weights * (positive - 0.5)) @ genes).max() / len(genes) / mixing
    for strength in elastic_net._STRENGTHS:
        fitted = solve(genes, positive, weights, strength * strongest, mixing, fitted)


def drawn(labels: np.ndarray, *, kept: bool) -> None:
    """Go through all resamples for each method, drawn anew or kept from the first."""
    for method in range(METHODS):
        if not kept or method == 0:
            intervals._drawn.cache_clear()
        for _ in intervals.resamples(labels, intervals.RESAMPLES, 0):
            pass


def figure() -> Figure:
    """Three panels with a legend each."""
    new = Figure(figsize=(10, 3.4), layout="constrained")
    for ax in new.subplots(1, 3):
        for line in range(4):
            ax.plot(np.linspace(0, 1, 400) ** (line + 1), label=f"method {line}")
        ax.legend()
    return new


def drawn_twice(drawing: Figure, folder: Path) -> None:
    """As matplotlib draws where a layout engine is left."""
    for suffix in ("png", "svg"):
        drawing.savefig(folder / f"plain.{suffix}", dpi=DPI)


def imported(module: str) -> None:
    """Import a module in a process of its own."""
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def row(step: str, plain: Way, here: Way, rounds: int) -> str:
    """Median seconds of both ways, and the ratios of the rounds."""
    times = [(seconds(plain), seconds(here)) for _ in range(rounds)]
    ratios = [before / after for before, after in times]
    before, after = (statistics.median(column) for column in zip(*times, strict=True))
    spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    return f"| {step} | {before:.2f} | {after:.2f} | {spread} |"


def seconds(way: Way) -> float:
    """Processor time of this process and of those that it waits for."""

    def spent() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    started = spent()
    way()
    return spent() - started


if __name__ == "__main__":
    main()
