"""All metrics of a predictions table: by fold, over folds, and pooled with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.intervals import RESAMPLES, bootstrap_metrics, percentile_interval
from histodistill.evaluation.parts import Part, parts
from histodistill.evaluation.registry import METRICS, STANDARD_METRICS
from histodistill.evaluation.runs import Runs, auc_of
from histodistill.evaluation.scores import roc_auc, score

RUN = ["seed", "repeat", "fold"]

OF_FOLDS = ["mean", "sd", "n_folds", "n_models"]
"""Columns of a summary that say nothing where one model predicted all patients."""


@dataclass(frozen=True)
class EvaluationTables:
    """The results of a predictions table, tidy.

    Attributes:
        folds: A row a target, method, network, seed, repeat, fold and metric: ``value`` (NaN where
            undefined), ``n_patients``, ``n_positive`` (missing beyond two classes), ``note``.
        summary: A row a target, method, network and metric. Over folds, of the mean over seeds:
            ``mean``, ``sd`` (n - 1, of the folds of a repeat), ``n_folds`` where the metric is
            defined. Pooled over folds: ``estimate``, ``low`` and ``high`` of the 95 %
            ``interval`` (score or bootstrap), ``n_patients``, ``n_positive``, and
            ``class_counts`` in words. ``n_models`` that answered. ``notes`` says what was
            undefined or left out.
    """

    folds: pd.DataFrame
    summary: pd.DataFrame


@dataclass(frozen=True)
class _Plan:
    """What is computed of each part."""

    metrics: tuple[str, ...]
    n_resamples: int
    seed: int


def evaluate(
    predictions: pd.DataFrame,
    *,
    metrics: Sequence[str] = STANDARD_METRICS,
    n_resamples: int = RESAMPLES,
    seed: int = 0,
) -> EvaluationTables:
    """Evaluate every target, method and network of a predictions table.

    Two figures stand side by side, both of one training of each fold, its chance averaged out
    over the seeds, so that they do not depend on how many seeds a method has. The mean ± sd is
    over folds, of the mean over seeds. The pooled figure is the mean over seeds and repeats of
    the figure of all patients together, so that its interval has patients as units; pooling
    compares probabilities of different folds' models, which costs a little AUC where their
    calibrations differ. Pooled AUCs of two classes, and of one against the rest, have the score
    interval of ``auc_interval``, all else a percentile bootstrap of patients. The calibration
    error has none, since that of a resample is biased upwards.

    Args:
        predictions: A checked predictions table.
        metrics: Names of metrics.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        InputError: A metric of another package that fails.
    """
    plan = _Plan(tuple(metrics), n_resamples, seed)
    folds: list[pd.DataFrame] = []
    summary: list[pd.DataFrame] = []
    for part in parts(predictions):
        of_folds = _score_folds(part, plan)
        folds.append(_named(part, of_folds))
        summary.append(_named(part, _summarise(part, of_folds, plan)))
    return EvaluationTables(
        pd.concat(folds, ignore_index=True), pd.concat(summary, ignore_index=True)
    )


def fold_mean_auc(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> float:
    """AUC averaged over seeds and then over folds, leaving out those where it is undefined.

    Args:
        rows: Rows of one target and one method.
        network: Name of the network.
        classes: The target's classes.
    """
    values = {
        fold: _auc(answers_of(run, network, classes))
        for fold, run in rows.groupby(RUN)  # seed, repeat, fold
    }
    table = pd.Series(values, dtype="float64").rename_axis(RUN).rename("auc").reset_index()
    return float(table.groupby(["repeat", "fold"])["auc"].mean().mean())


def _auc(answers: Answers) -> float:
    return roc_auc(answers.y, answers.probabilities) if len(answers) else float("nan")


class _Interval(NamedTuple):
    low: float = float("nan")
    high: float = float("nan")
    method: str = ""


def _named(part: Part, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the part's target, method and network in front."""
    for place, name in enumerate(("target", "method", "network")):
        table.insert(place, name, getattr(part, name))
    return table.astype({"n_positive": "Int64"})


def _score_folds(part: Part, plan: _Plan) -> pd.DataFrame:
    records = []
    for (seed, repeat, fold), rows in part.rows.groupby(RUN):
        answers = part.answers(rows)
        scores = score(answers, plan.metrics)
        for metric, value in scores.metrics.items():
            record = {"seed": seed, "repeat": repeat, "fold": fold, "metric": metric}
            record |= {"value": value, **_counts(answers), "note": "; ".join(scores.notes)}
            records.append(record)
    return pd.DataFrame(records)


def _summarise(part: Part, folds: pd.DataFrame, plan: _Plan) -> pd.DataFrame:
    runs = part.runs()
    pooled = runs.metrics(np.ones((1, len(runs))), plan.metrics)
    names = list(pooled)
    spread = over_folds(folds, "value", ["metric"]).reindex(names)
    intervals = _intervals(runs, plan)
    of_metric = [intervals.get(name, _Interval()) for name in names]
    notes = _pooled_notes(part.rows, runs, plan) + _fold_notes(folds)
    return pd.DataFrame(
        {
            "metric": names,
            "mean": spread["mean"].to_numpy(),
            "sd": spread["sd"].to_numpy(),
            "n_folds": spread["n_folds"].fillna(0).astype("int64").to_numpy(),
            "estimate": [float(value[0]) for value in pooled.values()],
            "low": [interval.low for interval in of_metric],
            "high": [interval.high for interval in of_metric],
            "interval": [interval.method for interval in of_metric],
            "n_patients": len(runs),
            "n_positive": int(runs.counts[1]) if runs.binary else None,
            "class_counts": runs.class_counts,
            "n_models": runs.n_models,
            "notes": "; ".join(notes),
        }
    )


def over_folds(fits: pd.DataFrame, value: str, key: list[str]) -> pd.DataFrame:
    """Mean and sd over folds of the mean over seeds.

    The sd (n - 1) is that of the folds of a repeat (root mean square over repeats), or of the
    repeats where each has one fold: more seeds do not make it smaller, nor does a seed or repeat
    that is there twice.

    Args:
        fits: A row a seed, repeat and fold for each ``key``.
        value: Column of the figure.
        key: Columns that tell the figures apart.

    Returns:
        Indexed by ``key``: ``mean``, ``sd`` and ``n_folds`` (repeats x folds) where it is defined.
    """
    folds = fits.groupby([*key, "repeat", "fold"], sort=False)[value].mean().dropna()
    by_key = folds.groupby(level=key, sort=False)
    within = folds.groupby(level=[*key, "repeat"], sort=False).var()
    single = within.groupby(level=key, sort=False).count() == 0
    sd = within.groupby(level=key, sort=False).mean() ** 0.5
    table = pd.DataFrame({"mean": by_key.mean(), "sd": sd, "n_folds": by_key.count()})
    return table.assign(sd=table["sd"].mask(single, by_key.std()))


def _intervals(runs: Runs, plan: _Plan) -> dict[str, _Interval]:
    """The intervals that are defined, by metric."""
    if len(runs) == 0:
        return {}
    resampled = [name for name in plan.metrics if METRICS.facts(name).resampled]
    drawn = bootstrap_metrics(runs, plan.n_resamples, plan.seed, resampled)
    intervals = {
        name: _Interval(*percentile_interval(values), "bootstrap")
        for name, values in drawn.items()
        if not np.isnan(values).any()
    }
    sides = (
        {"auc": runs}
        if runs.binary
        else {f"auc:{name}": runs.against_rest(k) for k, name in enumerate(runs.classes)}
    )
    intervals |= {
        name: _Interval(*auc_of(side)[1:], "score") for name, side in sides.items() if name in drawn
    }
    return {name: found for name, found in intervals.items() if not np.isnan(found.low)}


def _counts(answers: Answers) -> dict[str, int | None]:
    positives = int((answers.y == 1).sum()) if answers.binary else None
    return {"n_patients": len(answers), "n_positive": positives}


def _pooled_notes(rows: pd.DataFrame, runs: Runs, plan: _Plan) -> list[str]:
    """What pooling left out or could not compute, and which interval is not to be relied on."""
    notes = list(
        dict.fromkeys(note for run in runs.runs for note in score(run, plan.metrics).notes)
    )
    if not len(runs):
        notes.append("no labelled patient with an answer")
    unknown = rows.loc[rows["label"].isna(), "PATIENT"].nunique()
    labelled = rows.loc[rows["label"].notna(), "PATIENT"].nunique()
    if unknown:
        notes.append(f"{unknown} patients without a label left out")
    if labelled > len(runs):
        notes.append(f"{labelled - len(runs)} labelled patients not answered")
    n_runs = rows.groupby(["seed", "repeat"]).ngroups
    if (rows.groupby("PATIENT").size() < n_runs).any():
        notes.append(f"some patients lack a row in some of the {n_runs} seeds and repeats")
    warning = few_patients(runs)
    return [*notes, warning] if warning else notes


WARNING = "intervals may cover less than they say"
FEW = 10
"""With fewer patients of a class than this, 95 % intervals cover less than 93 % in some of the
simulations of docs/statistics.md."""


def few_patients(runs: Runs) -> str:
    """A warning where the intervals are not to be relied on; empty where they are."""
    counts = zip(runs.classes, runs.counts.tolist(), strict=True)
    few = [f"{n} {name} patient{'s' * (n != 1)}" for name, n in counts if 0 < n < FEW]
    return f"only {' and '.join(few)}: {WARNING}" if few else ""


def _fold_notes(folds: pd.DataFrame) -> list[str]:
    """The folds' notes, each with the fold it belongs to; a single one has those of all."""
    if folds.groupby(RUN).ngroups == 1:
        return []
    named = [name for name in RUN if name == "fold" or len(set(folds[name])) > 1]
    noted = folds[folds["note"] != ""].drop_duplicates(RUN)
    return [
        ", ".join(f"{name} {row[name]}" for name in named) + f": {row['note']}"
        for _, row in noted.iterrows()
    ]
