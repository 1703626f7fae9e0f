"""Bootstrap intervals: patients are drawn again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from histodistill.evaluation.answers import FloatArray, IntArray
from histodistill.evaluation.registry import STANDARD_METRICS
from histodistill.evaluation.runs import Runs

RESAMPLES = 2000
_BLOCK = 250
# Cohorts whose resamples are kept: 20 MB each with 5,000 patients.
_KEPT = 4


def resamples(y: IntArray, n_resamples: int, seed: int) -> Iterator[FloatArray]:
    """Draw patients with replacement, whatever their class, so that the prevalence varies too.

    A resample that lacks one of the classes is drawn again.

    Args:
        y: [n] class of each patient.
        n_resamples: How many resamples.
        seed: Seed of the draws; the same seed and classes give the same resamples.

    Yields:
        Blocks [b, n] of multiplicities, ``n_resamples`` rows in all.
    """
    for drawn in _drawn(tuple(y.tolist()), n_resamples, seed):
        yield drawn.astype(np.float64)


# Methods are tested on the same patients, and drawing takes longer than most metrics do.
@lru_cache(maxsize=_KEPT)
def _drawn(y: tuple[int, ...], n_resamples: int, seed: int) -> tuple[NDArray[np.uint16], ...]:
    classes = np.array(y)
    generator = np.random.default_rng(seed)
    share = np.full(len(y), 1 / len(y))
    of_class = (classes[:, None] == np.unique(classes)).astype(np.float64)
    blocks = []
    for start in range(0, n_resamples, _BLOCK):
        drawn = np.zeros((min(_BLOCK, n_resamples - start), len(y)))
        lacking = np.arange(len(drawn))
        while len(lacking):
            drawn[lacking] = generator.multinomial(len(y), share, size=len(lacking))
            lacking = lacking[((drawn[lacking] @ of_class) == 0).any(axis=1)]
        blocks.append(drawn.astype(np.uint16))
    return tuple(blocks)


def bootstrap_metrics(
    runs: Runs,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
    metrics: Sequence[str] = STANDARD_METRICS,
) -> dict[str, FloatArray]:
    """Every metric, averaged over runs, on each resample of the patients.

    Returns:
        For each metric [n_resamples] values, NaN where it is undefined.
    """
    blocks = [runs.metrics(drawn, metrics) for drawn in resamples(runs.y, n_resamples, seed)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def percentile_interval(values: FloatArray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap values; NaN where any of them is undefined."""
    tail = (1 - level) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_p(differences: FloatArray) -> float:
    """Two-sided p-value of no difference; never 0, since the observed data count as one resample.

    Args:
        differences: [B] bootstrap values of the difference; NaN where any is undefined.
    """
    if np.isnan(differences).any():
        return float("nan")
    smaller = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return float(min(1.0, 2 * (smaller + 1) / (len(differences) + 1)))
