"""The AUC by subgroup, and whether it differs between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import chdtrc, ndtri

from histodistill.evaluation.comparison import holm
from histodistill.evaluation.grouping import levels_of
from histodistill.evaluation.intervals import bootstrap_metrics, percentile_interval
from histodistill.evaluation.runs import Runs, auc_of
from histodistill.evaluation.summary import FEW

TOO_FEW = "too few to say"
COLUMNS = (
    *("subgroup", "level", "n_patients", "n_positive", "estimate", "low", "high"),
    *("p_interaction", "p_holm", "note"),
)
_REACH = 2 * float(ndtri(0.975))


@dataclass(frozen=True)
class _Level:
    """The AUC of one level; NaN where too few say nothing."""

    name: str
    runs: Runs
    estimate: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        return not math.isnan(self.low)


def subgroup_table(
    runs: Runs, columns: Mapping[str, pd.Series], *, n_resamples: int = 500, seed: int = 0
) -> pd.DataFrame:
    """The AUC in every level of some columns, with a test of interaction for each column.

    A column that tells these patients in one level is left out. A level with fewer than ten
    patients of a class has no figure, and says so. Interaction: the heterogeneity of the levels'
    AUCs (W. G. Cochran, Biometrics 10 (1954) 101-129), with standard errors from their intervals;
    Holm's adjustment takes all columns as one family.

    Args:
        runs: Answers of one network.
        columns: Values by patient, by the column's name.
        n_resamples: Bootstrap resamples of the intervals beyond two classes.
        seed: Seed of the bootstrap.

    Returns:
        Columns ``subgroup``, ``level``, ``n_patients``, ``n_positive`` (missing beyond two
        classes), ``estimate``, ``low``, ``high`` (95 %), ``p_interaction`` and ``p_holm`` (the
        same in all rows of a subgroup; NaN with fewer than two levels that have a figure), and
        ``note``.
    """
    levels = {name: _levels(runs, column, n_resamples, seed) for name, column in columns.items()}
    levels = {name: own for name, own in levels.items() if len(own) > 1}
    chances = {name: _interaction(own) for name, own in levels.items()}
    adjusted = dict(zip(chances, holm(list(chances.values())), strict=True)) if chances else {}
    rows = [
        _row(name, level, chances[name], float(adjusted[name]))
        for name, own in levels.items()
        for level in own
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({"n_positive": "Int64"})


def _levels(runs: Runs, column: pd.Series, n_resamples: int, seed: int) -> list[_Level]:
    named = levels_of(column[column.index.isin(runs.patients)])
    if named.empty:
        return []
    made = []
    for name in named.cat.categories:
        own = runs.of(list(named.index[named == name]))
        if len(own):
            made.append(_Level(str(name), own, *_auc(own, n_resamples, seed)))
    return made


def _auc(runs: Runs, n_resamples: int, seed: int) -> tuple[float, float, float]:
    """AUC with its interval; NaN where a class has too few patients to say."""
    if int(runs.counts.min()) < FEW or runs.missing_classes():
        return math.nan, math.nan, math.nan
    if runs.binary:
        return auc_of(runs)
    estimate = float(runs.metrics(np.ones((1, len(runs))), ["auc"])["auc"][0])
    drawn = bootstrap_metrics(runs, n_resamples, seed, ["auc"])["auc"]
    return estimate, *percentile_interval(drawn)


def _interaction(levels: Sequence[_Level]) -> float:
    """Cochran's test that all levels have the same AUC; NaN with fewer than two."""
    told = [level for level in levels if level.told]
    if len(told) < 2:
        return math.nan
    estimates = np.array([level.estimate for level in told])
    errors = np.array([(level.high - level.low) / _REACH for level in told])
    weights = errors**-2.0
    mean = (weights * estimates).sum() / weights.sum()
    return float(chdtrc(len(told) - 1, (weights * (estimates - mean) ** 2).sum()))


def _row(name: str, level: _Level, p: float, adjusted: float) -> tuple[object, ...]:
    runs = level.runs
    positive = int(runs.counts[1]) if runs.binary else pd.NA
    figures = (level.estimate, level.low, level.high)
    note = "" if level.told else TOO_FEW
    return (name, level.name, len(runs), positive, *figures, p, adjusted, note)
