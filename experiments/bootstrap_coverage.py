"""Coverage of the bootstrap intervals and of paired differences; writes docs/statistics.md.

python experiments/bootstrap_coverage.py [--jobs 2] [--replicates 200] [--resamples 400]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from joblib import Parallel, delayed
from scipy import special
from scipy.stats import norm

from histodistill.evaluation import (
    Answers,
    Runs,
    auc_difference,
    bootstrap_metrics,
    calibration_line,
    metric_label,
    percentile_interval,
    score,
)
from histodistill.evaluation.difference import drawn_differences
from histodistill.files import write_text
from histodistill.report import plain_table, to_markdown

Array = npt.NDArray[np.float64]

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"
START = "<!-- bootstrap: written by experiments/bootstrap_coverage.py -->"
END = "<!-- end of bootstrap -->"

PATIENTS = (60, 150, 400)
PREVALENCES = (0.15, 0.4)
AUCS = (0.7, 0.85, 0.95)
METRICS = ("average_precision", "f1", "ece", "brier")
# The second model of a pair: its AUC is lower by so much, its scores correlate so in each class.
LOWER, CORRELATION = 0.05, 0.5
OVERCONFIDENCE = 1.5
MANY = 200_000
CLASSES = ("negative", "positive")


class Cell(NamedTuple):
    """One kind of sample."""

    n: int
    prevalence: float
    auc: float


def main() -> None:
    """Simulate, and write the table between the document's two marks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=400)
    asked = parser.parse_args()
    grid = [Cell(*cell) for cell in product(PATIENTS, PREVALENCES, AUCS)]
    simulate = delayed(coverage)
    rows = Parallel(n_jobs=asked.jobs)(
        simulate(cell, asked.replicates, asked.resamples, seed) for seed, cell in enumerate(grid)
    )
    before, _, rest = DOCUMENT.read_text(encoding="utf-8").partition(START)
    after = rest.partition(END)[2]
    shown = "\n".join(_told(pd.DataFrame(rows), asked.replicates, asked.resamples))
    write_text(DOCUMENT, f"{before}{START}\n\n{shown}\n{END}{after}")


def coverage(cell: Cell, replicates: int, resamples: int, seed: int) -> dict[str, float]:
    """The share of samples whose interval holds the truth, for each figure."""
    generator = np.random.default_rng(seed)
    first, _ = _answers(cell._replace(n=MANY), generator)
    truth = {name: value for name, value in score(first).metrics.items() if name in METRICS}
    gap = cell.auc - norm.cdf(norm.ppf(cell.auc - LOWER))
    truth |= {"difference (bootstrap)": gap, "difference (DeLong)": gap}
    # The slope of an over-confident probability; the intercept moves with the prevalence.
    truth["calibration slope"] = 1 / OVERCONFIDENCE
    held: dict[str, list[bool]] = {name: [] for name in truth}
    for replicate in range(replicates):
        sides = [_runs(side) for side in _answers(cell, generator)]
        for name, (low, high) in _intervals(sides[0], sides[1], resamples, replicate):
            held[name].append(low <= truth[name] <= high)
    return cell._asdict() | {name: float(np.mean(found)) for name, found in held.items()}


def _answers(cell: Cell, generator: np.random.Generator) -> tuple[Answers, Answers]:
    """The two models' answers for one sample; one without both classes is drawn again."""
    y = (generator.random(cell.n) < cell.prevalence).astype(np.int64)
    while y.min() == y.max():
        y = (generator.random(cell.n) < cell.prevalence).astype(np.int64)
    noise = generator.standard_normal((2, cell.n))
    noise[1] = CORRELATION * noise[0] + (1 - CORRELATION**2) ** 0.5 * noise[1]
    return (
        _model(y, noise[0], cell.auc, cell.prevalence),
        _model(y, noise[1], cell.auc - LOWER, cell.prevalence),
    )


def _model(y: npt.NDArray[np.int64], noise: Array, auc: float, prevalence: float) -> Answers:
    """Answers whose logits are those of the true probabilities times the over-confidence."""
    shift = 2**0.5 * norm.ppf(auc)
    z = shift * y + noise
    honest = special.logit(prevalence) + shift * z - shift**2 / 2
    threshold = float(special.expit(OVERCONFIDENCE * special.logit(prevalence)))
    return Answers.two_class(y, special.expit(OVERCONFIDENCE * honest), threshold)


def _runs(answers: Answers) -> Runs:
    return Runs.joined([answers], CLASSES, 1)


def _intervals(
    a: Runs, b: Runs, resamples: int, seed: int
) -> Iterator[tuple[str, tuple[float, float]]]:
    for name, values in bootstrap_metrics(a, resamples, seed, METRICS).items():
        yield name, percentile_interval(values)
    yield "difference (bootstrap)", percentile_interval(drawn_differences(a, b, resamples, seed))
    tested = auc_difference(a, b)
    yield "difference (DeLong)", (tested.low, tested.high)
    line = calibration_line(a)
    yield "calibration slope", (line.slope_low, line.slope_high)


def _told(table: pd.DataFrame, replicates: int, resamples: int) -> Iterator[str]:
    error = (0.95 * 0.05 / replicates) ** 0.5
    yield (
        f"{replicates} samples a row, {resamples} resamples each: a standard error of {error:.3f} "
        "at a coverage of .95. The difference is of two models whose AUCs differ by "
        f"{LOWER:g} and whose scores correlate by {CORRELATION:g} in each class; the slope's "
        "interval is the one of the sandwich.\n"
    )
    names = {"auc": "AUC", **{name: metric_label(name) for name in METRICS}}
    texts = {name: table[name].astype(str) for name in ("prevalence", "auc")}
    yield to_markdown(plain_table(table.assign(**texts).rename(columns=names)))


if __name__ == "__main__":
    main()
