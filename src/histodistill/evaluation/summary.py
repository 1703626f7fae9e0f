"""All metrics of a predictions table: by fold, over folds, and pooled with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.delong import auc_interval, delong
from histodistill.evaluation.intervals import RESAMPLES, bootstrap_metrics, percentile_interval
from histodistill.evaluation.layout import networks_in, target_classes
from histodistill.evaluation.metrics import Scores, roc_auc, score

RUN = ["seed", "repeat", "fold"]


@dataclass(frozen=True)
class EvaluationTables:
    """The results of a predictions table, tidy.

    Attributes:
        folds: A row a target, method, network, seed, repeat, fold and metric: ``value`` (NaN where
            undefined), ``n_patients``, ``n_positive`` (missing beyond two classes), ``note``.
        summary: A row a target, method, network and metric. Over folds: ``mean``, ``sd`` (n - 1),
            ``n_folds`` where the metric is defined. Pooled over folds: ``estimate``, ``low`` and
            ``high`` of the 95 % ``interval`` (DeLong or bootstrap), ``n_patients``,
            ``n_positive``. ``notes`` says what was undefined or left out.
    """

    folds: pd.DataFrame
    summary: pd.DataFrame


def evaluate(
    predictions: pd.DataFrame, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> EvaluationTables:
    """Evaluate every target, method and network of a predictions table.

    Two figures stand side by side. The mean ± sd over (seed, repeat, fold) is what papers print:
    the performance of one training run. The pooled figure counts each patient once, with the
    probability averaged over seeds and repeats (the performance of that ensemble), so that its
    interval has patients as units; pooling compares probabilities of different folds' models,
    which costs a little AUC where their calibrations differ. Pooled two-class AUCs have DeLong's
    interval, all else a percentile bootstrap of patients within classes. The calibration error of
    a resample is biased upwards, and so is its interval.

    Args:
        predictions: A checked predictions table.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.
    """
    folds: list[pd.DataFrame] = []
    summary: list[pd.DataFrame] = []
    for part in _parts(predictions):
        of_folds = _score_folds(part)
        folds.append(_named(part, of_folds))
        summary.append(_named(part, _summarise(part, of_folds, n_resamples, seed)))
    return EvaluationTables(
        pd.concat(folds, ignore_index=True), pd.concat(summary, ignore_index=True)
    )


def fold_mean_auc(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> float:
    """AUC averaged over (seed, repeat, fold), leaving out those where it is undefined.

    Args:
        rows: Rows of one target and one method.
        network: Name of the network.
        classes: The target's classes.
    """
    runs = (answers_of(run, network, classes) for _, run in rows.groupby(RUN))
    values = [roc_auc(run.y, run.probabilities) for run in runs if len(run)]
    return float(pd.Series(values, dtype="float64").mean())


class _Part(NamedTuple):
    """One target, method and network: the method's rows and the target's classes."""

    target: str
    method: str
    network: str
    rows: pd.DataFrame
    classes: tuple[str, ...]

    def answers(self, rows: pd.DataFrame) -> Answers:
        return answers_of(rows, self.network, self.classes)


class _Interval(NamedTuple):
    low: float = float("nan")
    high: float = float("nan")
    method: str = ""


def _parts(predictions: pd.DataFrame) -> Iterator[_Part]:
    for target, of_target in predictions.groupby("target", sort=False):
        classes = target_classes(of_target)
        for method, rows in of_target.groupby("method", sort=False):
            for network in networks_in(rows):
                yield _Part(str(target), str(method), network, rows, classes)


def _named(part: _Part, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the part's target, method and network in front."""
    for place, name in enumerate(("target", "method", "network")):
        table.insert(place, name, getattr(part, name))
    return table.astype({"n_positive": "Int64"})


def _score_folds(part: _Part) -> pd.DataFrame:
    records = []
    for (seed, repeat, fold), rows in part.rows.groupby(RUN):
        answers = part.answers(rows)
        scores = score(answers)
        for metric, value in scores.metrics.items():
            record = {"seed": seed, "repeat": repeat, "fold": fold, "metric": metric}
            record |= {"value": value, **_counts(answers), "note": "; ".join(scores.notes)}
            records.append(record)
    return pd.DataFrame(records)


def _summarise(part: _Part, folds: pd.DataFrame, n_resamples: int, seed: int) -> pd.DataFrame:
    answers = part.answers(part.rows)
    scores = score(answers)
    names = list(scores.metrics)
    over_folds = folds.groupby("metric")["value"].agg(["mean", "std", "count"]).reindex(names)
    intervals = _intervals(answers, n_resamples, seed)
    of_metric = [intervals.get(name, _Interval()) for name in names]
    notes = _pooled_notes(part.rows, answers, scores) + _fold_notes(folds)
    return pd.DataFrame(
        {
            "metric": names,
            "mean": over_folds["mean"].to_numpy(),
            "sd": over_folds["std"].to_numpy(),
            "n_folds": over_folds["count"].to_numpy(),
            "estimate": list(scores.metrics.values()),
            "low": [interval.low for interval in of_metric],
            "high": [interval.high for interval in of_metric],
            "interval": [interval.method for interval in of_metric],
            "n_patients": len(answers),
            "n_positive": _counts(answers)["n_positive"],
            "notes": "; ".join(notes),
        }
    )


def _intervals(answers: Answers, n_resamples: int, seed: int) -> dict[str, _Interval]:
    """The intervals that are defined, by metric."""
    if len(answers) == 0:
        return {}
    drawn = bootstrap_metrics(answers, n_resamples, seed)
    intervals = {
        name: _Interval(*percentile_interval(values), "bootstrap")
        for name, values in drawn.items()
        if not np.isnan(values).any()
    }
    if answers.binary and not answers.missing_classes():
        auc = delong(answers.y, answers.positive)
        limits = auc_interval(float(auc.aucs[0]), float(auc.covariance[0, 0]))
        intervals["auc"] = _Interval(*limits, "DeLong")
    return {name: found for name, found in intervals.items() if not np.isnan(found.low)}


def _counts(answers: Answers) -> dict[str, int | None]:
    positives = int((answers.y == 1).sum()) if answers.binary else None
    return {"n_patients": len(answers), "n_positive": positives}


def _pooled_notes(rows: pd.DataFrame, answers: Answers, scores: Scores) -> list[str]:
    """What pooling left out or could not compute."""
    notes = list(scores.notes)
    unknown = rows.loc[rows["label"].isna(), "PATIENT"].nunique()
    labelled = rows.loc[rows["label"].notna(), "PATIENT"].nunique()
    if unknown:
        notes.append(f"{unknown} patients without a label left out")
    if labelled > len(answers):
        notes.append(f"{labelled - len(answers)} labelled patients not answered")
    runs = rows.groupby(["seed", "repeat"]).ngroups
    if (rows.groupby("PATIENT").size() < runs).any():
        notes.append(f"some patients lack a row in some of the {runs} seeds and repeats")
    if answers.binary and scores.metrics["auc"] in (0.0, 1.0):
        notes.append(f"AUC is exactly {scores.metrics['auc']:.0f}: DeLong gives no interval")
    return notes


def _fold_notes(folds: pd.DataFrame) -> list[str]:
    """The folds' notes, each with the fold it belongs to."""
    named = [name for name in RUN if name == "fold" or len(set(folds[name])) > 1]
    noted = folds[folds["note"] != ""].drop_duplicates(RUN)
    return [
        ", ".join(f"{name} {row[name]}" for name in named) + f": {row['note']}"
        for _, row in noted.iterrows()
    ]
