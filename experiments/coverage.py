"""Coverage of the printed intervals, by simulation; writes the tables of docs/statistics.md.

python experiments/coverage.py [--jobs 2] [--replicates 400]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from histodistill.evaluation import auc_interval
from histodistill.files import write_text
from histodistill.report import plain_table, to_markdown

Array = npt.NDArray[np.float64]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"
START, END = "<!-- coverage: written by experiments/coverage.py -->", "<!-- end of coverage -->"

PATIENTS = (50, 100, 200, 500)
SHARES = (0.05, 0.13, 0.3, 0.5)
AUCS = (0.6, 0.75, 0.85, 0.9, 0.95, 0.98)
SCORES = ("equal", "wide", "narrow", "skewed", "ties")
# The spread of the positives' normal scores; the negatives' is 1.
SPREAD = {"equal": 1.0, "wide": 2.0, "narrow": 0.5}
# Between the five grades of tied scores.
CUTS = np.asarray(norm.ppf([0.4, 0.7, 0.9, 0.99]))
Z = float(norm.ppf(0.975))


def main() -> None:
    """Simulate, and write the tables between the document's two marks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--replicates", type=int, default=400)
    asked = parser.parse_args()
    grid = list(product(SCORES, AUCS, PATIENTS, SHARES))
    simulate = delayed(coverage)
    rows = Parallel(n_jobs=asked.jobs)(
        simulate(*cell, asked.replicates, seed) for seed, cell in enumerate(grid)
    )
    table = pd.DataFrame([row for cell in rows for row in cell])
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    shown = "\n".join(_tables(table, asked.replicates))
    write_text(DOCUMENT, f"{before}{START}\n\n{shown}\n{END}{after}")


def coverage(
    scores: str, auc: float, n: int, share: float, replicates: int, seed: int
) -> list[dict[str, object]]:
    """How often each interval holds the AUC, in samples of one kind."""
    m = max(2, round(n * share))
    cases, controls = drawn(scores, auc, m, n - m, replicates, np.random.default_rng(seed))
    found, variance = estimates(cases, controls)
    cell = {"scores": scores, "auc": auc, "n": n, "share": share, "positives": m}
    return [
        {**cell, "interval": name, "covered": float(np.mean((low <= auc) & (auc <= high)))}
        for name, low, high in intervals(found, variance, m, n - m)
    ]


def drawn(
    scores: str, auc: float, m: int, n: int, replicates: int, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Scores of m positives and n negatives in each replicate, with the AUC given."""
    if scores == "skewed":
        positives = generator.exponential(auc / (1 - auc), (replicates, m))
        return positives, generator.exponential(1, (replicates, n))
    spread = SPREAD.get(scores, 1.0)
    shift = (
        brentq(lambda gap: _graded_auc(gap) - auc, 0, 20)
        if scores == "ties"
        else (1 + spread**2) ** 0.5 * norm.ppf(auc)
    )
    positives = shift + spread * generator.standard_normal((replicates, m))
    negatives = generator.standard_normal((replicates, n))
    if scores == "ties":
        return np.digitize(positives, CUTS).astype(float), np.digitize(negatives, CUTS).astype(
            float
        )
    return positives, negatives


def _graded_auc(shift: float) -> float:
    edges = np.array([-np.inf, *CUTS, np.inf])
    negatives = np.diff(norm.cdf(edges))
    positives = np.diff(norm.cdf(edges - shift))
    return float((positives * (np.cumsum(negatives) - negatives / 2)).sum())


def estimates(cases: Array, controls: Array) -> tuple[Array, Array]:
    """AUC and DeLong's variance of each replicate."""
    m, n = cases.shape[1], controls.shape[1]
    ranks = rankdata(np.hstack([cases, controls]), axis=1)
    below = (ranks[:, :m] - rankdata(cases, axis=1)) / n
    above = 1 - (ranks[:, m:] - rankdata(controls, axis=1)) / m
    return below.mean(axis=1), below.var(axis=1, ddof=1) / m + above.var(axis=1, ddof=1) / n


def intervals(auc: Array, variance: Array, m: int, n: int) -> Iterator[tuple[str, Array, Array]]:
    """The printed interval, and those that it was chosen among."""
    yield ("printed", *auc_interval(auc, variance, m, n))
    yield ("Newcombe", *auc_interval(auc, np.zeros_like(auc), m, n))
    reach = Z * np.sqrt(variance)
    yield "Wald", auc - reach, auc + reach
    # An interval that is undefined (AUC 1) holds nothing.
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = reach / (auc * (1 - auc))
        yield (
            "logit",
            special.expit(special.logit(auc) - scaled),
            special.expit(special.logit(auc) + scaled),
        )


def _tables(table: pd.DataFrame, replicates: int) -> Iterator[str]:
    error = (0.95 * 0.05 / replicates) ** 0.5
    yield (
        f"{replicates} replicates a cell: a standard error of {error:.3f} at a coverage of .95.\n"
    )
    yield "Coverage over all cells: the mean, the least, and the share of cells with .93 or more:\n"
    by_interval = table.groupby("interval", sort=False)["covered"]
    told = {"mean": by_interval.mean(), "least": by_interval.min()}
    told["share of cells"] = by_interval.agg(lambda covered: (covered >= 0.93).mean())
    yield to_markdown(plain_table(pd.DataFrame(told).reset_index()))
    own = table[table["interval"] == "printed"]
    hows: tuple[tuple[str, Literal["mean", "min"]], ...] = (("Mean", "mean"), ("Least", "min"))
    for title, how in hows:
        yield f"\n{title} coverage of the printed interval over the five kinds of scores:\n"
        wide = own.pivot_table(
            index=["n", "positives"], columns="auc", values="covered", aggfunc=how
        )
        wide.columns = pd.Index([f"AUC {value:g}" for value in wide.columns])
        yield to_markdown(plain_table(wide.reset_index()))
    yield "\nBy kind of scores, over all numbers of patients:\n"
    by_scores = own.pivot_table(index="scores", columns="auc", values="covered", sort=False)
    by_scores.columns = pd.Index([f"AUC {value:g}" for value in by_scores.columns])
    yield to_markdown(plain_table(by_scores.reset_index()))


if __name__ == "__main__":
    main()
