"""Univariate Cox regression of many genes at once.

Fitting 20,000 genes one by one through a general package takes many minutes in every fold. With one
covariate the partial likelihood's Newton step is a ratio of two numbers, so that a block of genes
is fitted together by array arithmetic. The tests hold the p-values to those of lifelines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

_GENES_AT_ONCE = 64
_MAX_STEPS = 30
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class _RiskSets:
    """Which patients were at risk at each event, patients sorted by falling time.

    Attributes:
        order: Positions of the patients by falling time.
        events: Positions, in that order, of the patients who had the event.
        last: For every event, the last position at risk at its time.
        tied: Places in ``events`` of those that share their time with another.
        group: For every tied event, the number of its tie group.
        starts: For every tie group, its first place in ``tied``.
        share: For every tied event, Efron's fraction l / d of its group that has already left.
    """

    order: NDArray[np.intp]
    events: NDArray[np.intp]
    last: NDArray[np.intp]
    tied: NDArray[np.intp]
    group: NDArray[np.intp]
    starts: NDArray[np.intp]
    share: Floats


def cox_z_scores(values: Floats, time: Floats, event: NDArray[np.bool_]) -> Floats:
    """Wald z score of each gene in a Cox model of that gene alone, ties by Efron's method.

    Patients without a value of a gene are left out for that gene.

    Args:
        values: float [n_patients, n_genes], NaN for missing.
        time: [n_patients] time to event or censoring.
        event: [n_patients] whether the event was seen.

    Returns:
        [n_genes]; NaN where the gene is constant or its likelihood has no finite maximum.
    """
    z = np.full(values.shape[1], np.nan)
    missing = np.isnan(values)
    complete = np.flatnonzero(~missing.any(axis=0))
    for start in range(0, len(complete), _GENES_AT_ONCE):
        block = complete[start : start + _GENES_AT_ONCE]
        z[block] = _fit(values[:, block], time, event)
    for gene in np.flatnonzero(missing.any(axis=0)):
        rows = ~missing[:, gene]
        z[gene] = _fit(values[rows, gene : gene + 1], time[rows], event[rows])[0]
    return z


def cox_p_values(values: Floats, time: Floats, event: NDArray[np.bool_]) -> Floats:
    """Two-sided Wald p-value of each gene; the arguments are those of :func:`cox_z_scores`."""
    return np.asarray(2 * ndtr(-np.abs(cox_z_scores(values, time, event))))


def _fit(values: Floats, time: Floats, event: NDArray[np.bool_]) -> Floats:
    """Z scores [n_genes] of genes without missing values."""
    if not event.any():
        return np.full(values.shape[1], np.nan)
    risk = _risk_sets(time, event)
    spread = values.std(axis=0)
    varied = spread > 1e-12 * np.abs(values).max(axis=0, initial=0)
    z = np.full(values.shape[1], np.nan)
    x = (values[risk.order][:, varied] - values[:, varied].mean(axis=0)) / spread[varied]
    z[varied] = _newton(x, risk)
    return z


def _risk_sets(time: Floats, event: NDArray[np.bool_]) -> _RiskSets:
    order = np.argsort(-time, kind="stable")
    falling = -time[order]
    events = np.flatnonzero(event[order])
    last = np.searchsorted(falling, falling[events], side="right") - 1
    _, inverse, counts = np.unique(falling[events], return_inverse=True, return_counts=True)
    tied = np.flatnonzero(counts[inverse] > 1)
    _, starts, group, size = np.unique(
        inverse[tied], return_index=True, return_inverse=True, return_counts=True
    )
    share = (np.arange(len(tied)) - starts[group]) / size[group]
    return _RiskSets(order, events, last, tied, group, starts, share)


def _newton(x: Floats, risk: _RiskSets) -> Floats:
    """Maximise each gene's partial likelihood; z scores, NaN where the maximum is not reached."""
    beta = np.zeros(x.shape[1])
    best = np.full(x.shape[1], -np.inf)
    previous, step = beta.copy(), np.zeros_like(beta)
    for _ in range(_MAX_STEPS):
        likelihood, score, information = _derivatives(x, beta, risk)
        fell = likelihood < best - 1e-9 * np.abs(best)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = score / information
        # A step that lowered the likelihood is halved; otherwise the next one is taken.
        step = np.where(fell, step / 2, newton)
        previous = np.where(fell, previous, beta)
        best = np.where(fell, best, likelihood)
        beta = previous + step
        if np.all(np.abs(step) < _TOLERANCE):
            break
    reached = np.abs(step) < _TOLERANCE
    return np.where(reached, beta * np.sqrt(np.where(reached, information, 1)), np.nan)


def _derivatives(x: Floats, beta: Floats, risk: _RiskSets) -> tuple[Floats, Floats, Floats]:
    """Log partial likelihood, score and information at ``beta``, each [n_genes]."""
    linear = x * beta
    peak = linear.max(axis=0)
    weight = np.exp(linear - peak)
    sums = [_at_risk(weighted, risk) for weighted in (weight, weight * x, weight * (x * x))]
    mean = sums[1] / sums[0]
    score = (x[risk.events] - mean).sum(axis=0)
    information = (sums[2] / sums[0] - mean**2).sum(axis=0)
    likelihood = (linear[risk.events] - np.log(sums[0]) - peak).sum(axis=0)
    return likelihood, score, information


def _at_risk(weighted: Floats, risk: _RiskSets) -> Floats:
    """Sum over the risk set of each event, less Efron's share of its ties; [n_events, n_genes]."""
    total: Floats = np.cumsum(weighted, axis=0)[risk.last]
    if len(risk.tied):
        own = np.add.reduceat(weighted[risk.events[risk.tied]], risk.starts, axis=0)[risk.group]
        total[risk.tied] -= risk.share[:, None] * own
    return total
