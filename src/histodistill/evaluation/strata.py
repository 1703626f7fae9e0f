"""The AUC within strata: what a model tells beyond what is known of the stratum.

H. Janes and M. S. Pepe, "Adjusting for covariate effects on classification accuracy using the
covariate-adjusted receiver operating characteristic curve", Biometrika 96 (2009) 371-382: each
positive patient is compared with the negative patients of the same stratum alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import ndtri

from histodistill.evaluation.grouping import levels_of
from histodistill.evaluation.runs import Runs, auc_of, variance_of

COLUMNS = (
    *("column", "n_patients", "n_positive", "strata", "auc", "auc_low", "auc_high"),
    *("within", "within_low", "within_high", "difference"),
)
_REACH = float(ndtri(0.975))


def strata_table(runs: Runs, columns: Mapping[str, pd.Series]) -> pd.DataFrame:
    """The AUC of two classes on the patients whose stratum is known, as it is and within strata.

    A confounder that carries the model's answer makes the AUC within its strata smaller.

    Args:
        runs: Answers of one network, two classes.
        columns: Values by patient, by the column's name.

    Returns:
        A row a column: ``n_patients`` and ``n_positive`` of the strata with both classes, their
        number ``strata``, ``auc`` with its interval, ``within`` (the strata's AUCs, weighted by
        their positive patients) with its interval, and ``difference``, within minus auc. Columns
        with fewer than two such strata are left out.
    """
    rows = [
        (name, *found)
        for name, column in columns.items()
        if (found := _stratified(runs, column)) is not None
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _stratified(runs: Runs, column: pd.Series) -> tuple[float, ...] | None:
    named = levels_of(column[column.index.isin(runs.patients)])
    strata = []
    for name in named.cat.categories if len(named) else ():
        own = runs.of(list(named.index[named == name]))
        if len(own) and not own.missing_classes():
            strata.append(own)
    if len(strata) < 2:
        return None
    everybody = runs.of([patient for own in strata for patient in own.patients])
    weights = np.array([own.counts[1] for own in strata], dtype=np.float64)
    weights /= weights.sum()
    aucs = np.array([float(own.aucs(np.ones((1, len(own))))[0]) for own in strata])
    within = float(weights @ aucs)
    error = math.sqrt(sum(w**2 * _variance(own) for w, own in zip(weights, strata, strict=True)))
    pooled = auc_of(everybody)
    limits = max(within - _REACH * error, 0.0), min(within + _REACH * error, 1.0)
    n = (len(everybody), int(everybody.counts[1]), len(strata))
    return (*n, *pooled, within, *limits, within - pooled[0])


def _variance(runs: Runs) -> float:
    """DeLong's variance of a stratum's AUC, or the largest there is where a class has one."""
    variance = variance_of(runs.influence(), runs.y)
    return 0.25 if math.isnan(variance) else variance
