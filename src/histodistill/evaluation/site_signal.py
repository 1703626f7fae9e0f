"""How well answers and features tell the hospital: what a model may have learnt instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import logit
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.runs import Runs

LEAST_PATIENTS = 10
"""Sites with fewer patients are left out."""

_FOLDS = 5
_COMPONENTS = 50
_PERMUTATIONS = 1000
_EDGE = 1e-6


@dataclass(frozen=True)
class SiteSignal:
    """How much of the site something tells.

    Attributes:
        n_patients: Patients of the sites that are large enough.
        n_sites: Those sites.
        figure: What ``value`` is.
        value: The figure.
        expected: What chance gives on average.
        p: Chance of as much, where it was tested; else NaN.
    """

    n_patients: int
    n_sites: int
    figure: str
    value: float
    expected: float
    p: float


def score_site_signal(runs: Runs, sites: pd.Series[str], seed: int = 0) -> SiteSignal | None:
    """Share of the variance of the log odds, among patients of the same class, between sites.

    The p-value permutes sites within each class, so that sites with more positive patients count
    for nothing. Two classes.

    Returns:
        None with fewer than two sites of ten patients.
    """
    kept = _large(sites[sites.index.isin(runs.patients)])
    if kept is None:
        return None
    own = runs.of(list(kept.index))
    odds = _mean_log_odds(own)
    codes = pd.factorize(kept.loc[list(own.patients)])[0]
    centred = odds - np.array([odds[own.y == label].mean() for label in (0, 1)])[own.y]
    generator = np.random.default_rng(seed)
    observed = _between(centred, codes)
    drawn = []
    for _ in range(_PERMUTATIONS):
        mixed = codes.copy()
        for label in (0, 1):
            mixed[own.y == label] = generator.permutation(codes[own.y == label])
        drawn.append(_between(centred, mixed))
    p = (1 + sum(value >= observed for value in drawn)) / (1 + _PERMUTATIONS)
    name = "share of the variance of the log odds within a class that lies between sites"
    return SiteSignal(len(own), int(kept.nunique()), name, observed, float(np.mean(drawn)), p)


def feature_site_signal(
    features: pd.DataFrame, sites: pd.Series[str], seed: int = 0
) -> SiteSignal | None:
    """AUC, each site against the rest, of a logistic regression on mean patches, in five folds.

    Args:
        features: Patients x features.
        sites: The site of each patient; NaN where unknown.
        seed: Of the folds.

    Returns:
        None with fewer than two sites of ten patients.
    """
    kept = _large(sites[sites.index.isin(features.index)])
    if kept is None:
        return None
    x, y = features.loc[kept.index].to_numpy(np.float64), pd.factorize(kept)[0]
    components = min(_COMPONENTS, x.shape[1], len(x) - len(x) // _FOLDS - 1)
    model = make_pipeline(
        StandardScaler(),
        PCA(components, svd_solver="full"),
        LogisticRegression(C=0.01, class_weight="balanced", max_iter=2000),
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    answered = cross_val_predict(model, x, y, cv=folds, method="predict_proba")
    aucs = [roc_auc_score(y == site, answered[:, site]) for site in range(kept.nunique())]
    name = "AUC of telling a patient's site from the mean patch, each site against the rest"
    return SiteSignal(len(y), len(aucs), name, float(np.mean(aucs)), 0.5, float("nan"))


def _large(sites: pd.Series[str]) -> pd.Series[str] | None:
    """The patients of sites that are large enough; None where fewer than two are."""
    known = sites.dropna()
    counts = known.value_counts()
    kept = known[known.isin(counts.index[counts >= LEAST_PATIENTS])]
    return kept if len(kept.unique()) > 1 else None


def _mean_log_odds(runs: Runs) -> FloatArray:
    """[n] log odds of each patient, the mean over runs."""
    table = pd.concat(
        [
            pd.Series(logit(np.clip(run.positive, _EDGE, 1 - _EDGE)), index=list(run.patients))
            for run in runs.runs
        ]
    )
    means = table.groupby(level=0).mean().loc[list(runs.patients)]
    return np.asarray(means, dtype=np.float64)


def _between(values: FloatArray, codes: np.ndarray) -> float:
    """Share of the sum of squares of centred values that lies between groups."""
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=values)
    total = float(((values - values.mean()) ** 2).sum())
    between = float((sums**2 / counts).sum() - values.sum() ** 2 / len(values))
    return between / total if total > 0 else 0.0
