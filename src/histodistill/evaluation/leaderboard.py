"""All methods of a predictions table in one tidy table, with tests against a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from histodistill.errors import InputError, listed
from histodistill.evaluation.comparison import holm
from histodistill.evaluation.costs import mean_costs
from histodistill.evaluation.difference import auc_difference
from histodistill.evaluation.finished_teachers import (
    Repeats,
    repeated_teachers,
    without_repeats,
)
from histodistill.evaluation.fold_auc import KEY, fold_aucs
from histodistill.evaluation.intervals import RESAMPLES, percentile_interval, resamples
from histodistill.evaluation.layout import NETWORKS, target_classes
from histodistill.evaluation.ranks import Ranking, rank_methods
from histodistill.evaluation.registry import STANDARD_METRICS
from histodistill.evaluation.runs import Runs, auc_of, runs_of
from histodistill.evaluation.summary import few_patients, over_folds

Reference = str | Mapping[str, str] | None
Pooled = dict[tuple[str, str, str], Runs]
"""The runs of each target, network and method."""

PRINTED_DIGITS = 3
"""Figures that are printed alike share a place."""

_BEFORE = (
    *("target", "network", "method", "n_patients", "n_positive", "class_counts"),
    *("n_seeds", "n_folds", "n_fits"),
    *("fold_auc", "fold_auc_sd", "best", "second_best", "auc", "low", "high"),
)
_AFTER = (
    *("reference", "difference", "difference_low", "difference_high"),
    *("p_delong", "p_bootstrap", "p_holm", "mean_rank"),
    *("parameters", "training_seconds", "inference_ms", "notes"),
)
COMPARISON_COLUMNS = (
    *("target", "network", "method", "reference", "n_patients", "auc", "auc_reference"),
    *("difference", "low", "high", "p_delong", "p_bootstrap", "p_holm", "notes"),
)


@dataclass(frozen=True)
class Leaderboard:
    """Many methods on the same folds, tidy. Methods keep the predictions' order.

    Attributes:
        results: A row a target, network and method. ``fold_auc`` and ``fold_auc_sd`` (n - 1) are
            over folds, of the mean over seeds; ``n_fits`` counts the models; ``best`` and
            ``second_best`` flag the highest ``fold_auc`` of the target among methods with the
            same inputs, to three decimals. ``auc`` is of all patients together, the mean over
            seeds and repeats, so that methods with one seed and with more are alike; ``low`` to
            ``high`` is its 95 % interval (of ``auc_interval``; bootstrap beyond two classes). Each
            other metric has a column of its name, pooled alike.
            ``difference`` and its interval and p-values are those of ``comparisons``.
            ``mean_rank`` is over the datasets of all targets. Costs are a fit's.
        comparisons: A row a target, network and method other than the reference of its inputs,
            on the patients that both answer: ``difference`` of pooled AUCs with its 95 % interval,
            ``p_delong`` (``p_bootstrap`` beyond two classes) and ``p_holm``, adjusted over all
            rows of this table: all targets and all groups of inputs are one family.
        rankings: The ranking of each group of inputs.
        references: The reference of each network that has one.
        repeats: Finished teachers that several methods share stand once; which others they
            stand for.
        metrics: The metrics that the results hold.
    """

    results: pd.DataFrame
    comparisons: pd.DataFrame
    rankings: tuple[Ranking, ...]
    references: Mapping[str, str]
    repeats: Repeats = field(default_factory=dict)
    metrics: tuple[str, ...] = STANDARD_METRICS


def build_leaderboard(
    predictions: pd.DataFrame,
    costs: pd.DataFrame | None = None,
    *,
    reference: Reference = None,
    metrics: Sequence[str] = STANDARD_METRICS,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> Leaderboard:
    """Evaluate, compare and rank every method of a predictions table.

    Args:
        predictions: A checked predictions table.
        costs: As ``mean_costs`` takes them.
        reference: The method that the others with the same inputs are compared with: one name,
            used wherever that method answers, or a name by network; None for no comparison.
        metrics: Names of metrics, the AUC among them.
        n_resamples: Bootstrap resamples, drawn beyond two classes alone.
        seed: Seed of the bootstrap.

    Raises:
        InputError: A reference that does not answer, costs that lack columns, or a metric of
            another package that fails.
    """
    repeats = repeated_teachers(predictions, _names(reference))
    predictions = without_repeats(predictions, repeats)
    fits = fold_aucs(predictions)
    references = _references(fits, reference)
    cost = mean_costs(costs)
    pooled = _pooled(predictions, fits)
    comparisons = _comparisons(pooled, references, n_resamples, seed)
    networks = [network for network in NETWORKS if (fits["network"] == network).any()]
    rankings = tuple(rank_methods(fits, network) for network in networks)
    estimates = [_estimate(runs, metrics, n_resamples, seed) for runs in pooled.values()]
    results = (
        pd.DataFrame(estimates, index=pd.MultiIndex.from_tuples(pooled, names=KEY))
        .join(_over_fits(fits))
        .join(_mean_ranks(rankings))
        .join(_differences(comparisons))
        .join(cost)
    )
    table = _flagged(_noted(results.reset_index().astype({"n_positive": "Int64"})))
    others = [name for name in metrics if name != "auc"]
    table = table[[*_BEFORE, *others, *_AFTER]]
    return Leaderboard(table, comparisons, rankings, references, repeats, tuple(metrics))


def places(values: pd.Series[float], *, smaller_is_better: bool = False) -> pd.Series[int]:
    """1 for the best value, 2 for the second, 0 for the rest; equal values share a place.

    A value alone has no place, since there is nothing that it is better than.
    """
    known = values.dropna().round(PRINTED_DIGITS)
    order = known.rank(method="dense", ascending=smaller_is_better)
    placed = order.where(order <= 2, 0) if len(known) > 1 else order * 0
    return placed.reindex(values.index, fill_value=0).astype("int64")


def _names(reference: Reference) -> set[str]:
    """The methods that a reference names."""
    if isinstance(reference, str):
        return {reference}
    return set((reference or {}).values())


def _references(fits: pd.DataFrame, reference: Reference) -> dict[str, str]:
    """The reference of each network that has one."""
    answering = set(zip(fits["network"], fits["method"], strict=True))
    if reference is None:
        return {}
    if isinstance(reference, str):
        found = {name: reference for name in NETWORKS if (name, reference) in answering}
        if not found:
            methods = listed(list(fits["method"].unique()))
            raise InputError(f"The reference {reference} is not among the methods {methods}.")
        return found
    problems = [
        f"The reference {method} of {network} is not among the methods that answer as {network}: "
        f"{listed(sorted(m for n, m in answering if n == network)) or 'there are none'}."
        for network, method in reference.items()
        if (network, method) not in answering
    ]
    if problems:
        raise InputError(*problems)
    return dict(reference)


def _pooled(predictions: pd.DataFrame, fits: pd.DataFrame) -> Pooled:
    """The runs of every method that has a fit, those with the same target together."""
    rows = dict(iter(predictions.groupby(["target", "method"])))
    classes = {name: target_classes(part) for name, part in predictions.groupby("target")}
    return {
        (target, network, method): runs_of(rows[target, method], network, classes[target])
        for target, network, method in dict.fromkeys(fits[KEY].itertuples(index=False, name=None))
    }


def _comparisons(
    pooled: Pooled, references: Mapping[str, str], n_resamples: int, seed: int
) -> pd.DataFrame:
    records = []
    for (target, network, method), runs in pooled.items():
        reference = references.get(network)
        base = pooled.get((target, network, str(reference)))
        if base is None or method == reference:
            continue
        found = auc_difference(runs, base, n_resamples=n_resamples, seed=seed)
        left_out = len(set(runs.patients) | set(base.patients)) - found.n_patients
        notes = f"{left_out} patients that one alone answers left out" if left_out else ""
        names = dict(zip((*KEY, "reference"), (target, network, method, reference), strict=True))
        records.append({**names, **found._asdict(), "notes": notes})
    table = pd.DataFrame(records, columns=[name for name in COMPARISON_COLUMNS if name != "p_holm"])
    tested = table["p_delong"].fillna(table["p_bootstrap"]).astype("float64")
    return table.assign(p_holm=holm(tested.to_numpy()))[list(COMPARISON_COLUMNS)]


def _estimate(runs: Runs, metrics: Sequence[str], n_resamples: int, seed: int) -> dict[str, object]:
    """The pooled figures of one method."""
    values = runs.metrics(np.ones((1, len(runs))), metrics)
    low, high = _interval(runs, n_resamples, seed)
    return {
        "n_patients": len(runs),
        "n_positive": int(runs.counts[1]) if runs.binary else pd.NA,
        "class_counts": runs.class_counts,
        **{name: float(values[name][0]) for name in metrics},
        "low": low,
        "high": high,
        "few": few_patients(runs),
    }


def _interval(runs: Runs, n_resamples: int, seed: int) -> tuple[float, float]:
    """The score interval for two classes, the bootstrap's for more; NaN where it is undefined."""
    if runs.missing_classes():
        return float("nan"), float("nan")
    if runs.binary:
        return auc_of(runs)[1:]
    drawn = [runs.aucs(weights) for weights in resamples(runs.y, n_resamples, seed)]
    return percentile_interval(np.concatenate(drawn))


def _over_fits(fits: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd and counts of each target, network and method: over folds, of means over seeds."""
    by_method = fits.groupby(KEY, sort=False)
    folds = fits.drop_duplicates([*KEY, "repeat", "fold"]).groupby(KEY, sort=False)
    spread = over_folds(fits, "auc", KEY)
    return pd.DataFrame(
        {
            "n_seeds": by_method["seed"].nunique(),
            "n_folds": folds.size(),
            "n_fits": by_method.size(),
            "fold_auc": spread["mean"],
            "fold_auc_sd": spread["sd"],
        }
    )


def _mean_ranks(rankings: tuple[Ranking, ...]) -> pd.DataFrame:
    ranks = {ranking.network: ranking.mean_ranks for ranking in rankings}
    return pd.concat(ranks, names=["network", "method"]).to_frame("mean_rank")


def _differences(comparisons: pd.DataFrame) -> pd.DataFrame:
    """The comparisons' columns as the results name them."""
    names = {"low": "difference_low", "high": "difference_high"}
    kept = ["reference", "difference", "low", "high", "p_delong", "p_bootstrap", "p_holm"]
    return comparisons.set_index(KEY)[kept].rename(columns=names)


def _flagged(results: pd.DataFrame) -> pd.DataFrame:
    place = results.groupby(["target", "network"], sort=False)["fold_auc"].transform(places)
    return results.assign(best=place == 1, second_best=place == 2)


def _noted(results: pd.DataFrame) -> pd.DataFrame:
    """Say where a method has fewer fits or patients than others of the same target."""
    of_target = results.groupby("target")
    notes = results["few"].copy()
    for column, thing in (("n_fits", "fits"), ("n_patients", "patients")):
        most = of_target[column].transform("max")
        said = results[column].astype(str) + f" {thing} where others have " + most.astype(str)
        joined = notes.where(notes == "", notes + "; ") + said
        notes = notes.mask(results[column] < most, joined)
    return results.assign(notes=notes)
