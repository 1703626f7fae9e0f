"""What calibration and triage do with answers to the real cohort, as Markdown; for trust.py."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from trust_real import SITES

from histodistill import read_experiment
from histodistill.calibration.hospitals import other_hospitals
from histodistill.calibration.out_of_fold import mean_costs, triage_out_of_fold
from histodistill.calibration.triage import Costs, TriagePolicy
from histodistill.errors import InputError
from histodistill.evaluation import calibration_figures
from histodistill.experiment import load
from histodistill.report import plain_table, to_markdown

Row = dict[str, object]
RESAMPLES = 1000

# What may go wrong, and what it costs.
POLICIES = {
    "miss at most 5 %": TriagePolicy(max_missed=0.05),
    "miss at most 10 %": TriagePolicy(max_missed=0.1),
    "at most 5 % false alarms": TriagePolicy(max_false_alarms=0.05),
    "at most 10 % false alarms": TriagePolicy(max_false_alarms=0.1),
    "costs 10 : 2 : 1": TriagePolicy(costs=Costs(missed=10, false_alarm=2, ihc=1)),
}


@cache
def sites() -> pd.Series:
    """The hospital of each patient of the real cohort."""
    return load(read_experiment(SITES)).clinical.sites


def calibration_text(rows: pd.DataFrame) -> str:
    """Calibration of the student, as given and calibrated, as Markdown."""
    figures = _of_student(rows)
    figures["slope [95 %]"] = [
        f"{row.slope:.3f} [{row.slope_low:.3f}, {row.slope_high:.3f}]"
        for row in figures.itertuples()
    ]
    chance: dict[Any, tuple[float, float]] = {
        target: perfect_error(own) for target, own in rows.groupby("target", sort=False)
    }
    figures["ece if perfect"] = [
        f"{chance[row.target][0]:.3f} (at most {chance[row.target][1]:.3f})"
        if row.probabilities == "calibrated"
        else ""
        for row in figures.itertuples()
    ]
    names = ["target", "probabilities", "n_patients", "n_positive", "slope [95 %]", "intercept"]
    names += ["ece", "ece if perfect", "brier", "miscalibration", "discrimination"]
    return to_markdown(plain_table(figures[names]))


def _of_student(rows: pd.DataFrame) -> pd.DataFrame:
    figures = calibration_figures(rows)
    return figures[figures["network"] == "student"].copy()


def perfect_error(rows: pd.DataFrame) -> tuple[float, float]:
    """The calibration error of a model whose probabilities are right: its mean, and 95 % below.

    Labels are drawn from the calibrated probabilities themselves, for all divisions at once.
    """
    table = rows.pivot_table(index="PATIENT", columns="repeat", values="student_calibrated")
    p = table.to_numpy()
    bins = np.minimum((p * 10).astype(int), 9)
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(RESAMPLES):
        surplus = (rng.random(len(p)) < p.T).T - p
        own = [
            np.abs(np.bincount(bins[:, r], surplus[:, r], 10)).sum() / len(p)
            for r in range(p.shape[1])
        ]
        errors.append(np.mean(own))
    return float(np.mean(errors)), float(np.quantile(errors, 0.95))


def aim_text(rows: pd.DataFrame) -> str:
    """Whether ER and PR are within the aim after calibration, in sentences."""
    figures = _of_student(rows)
    own = figures[(figures["probabilities"] == "calibrated") & figures["target"].isin(["ER", "PR"])]
    missed = own[(own["ece"] > 0.05) | ~own["slope"].between(0.9, 1.1)]
    if missed.empty:
        return "ER and PR are within the aim."
    told = [
        _missed(row, rows[rows["target"] == row["target"]]) for row in missed.to_dict("records")
    ]
    return f"Not within the aim: {'; '.join(told)}."


def _missed(row: Mapping[Hashable, Any], rows: pd.DataFrame) -> str:
    mean, most = perfect_error(rows)
    told = f"{row['target']} (ECE {row['ece']:.3f}, slope {row['slope']:.3f})"
    if not 0.9 <= row["slope"] <= 1.1:
        return told
    chance = "no more than" if row["ece"] <= most else "more than"
    return (
        f"{told}; {chance} the chance of {row['n_patients']} patients explains, of whom a perfect "
        f"model has {mean:.3f} on average and at most {most:.3f} in 95 of 100 cohorts"
    )


_COLUMNS = (
    *("target", "policy", "certified", "spared", "missed [95 %]", "false alarms [95 %]", "above"),
    *("cost", "refused"),
)


def triage_text(rows: Iterable[Row]) -> str:
    """What :func:`triaged` tells, as Markdown."""
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).fillna("")
    return to_markdown(plain_table(table))


def triaged(rows: pd.DataFrame, *, other: bool) -> Iterator[Row]:
    """What each policy does to each target: chosen on four folds, judged on the fifth.

    Args:
        rows: Predictions.
        other: Whether it is promised for other hospitals, or for patients like these.
    """
    for target, own in rows.groupby("target", sort=False):
        for name, policy in POLICIES.items():
            if other and policy.costs is not None:
                continue  # promises nothing to anybody
            made, why = [], ""
            for _, part in own.groupby("repeat"):
                try:
                    made.append(_one_repeat(policy, part, other=other))
                except InputError as error:
                    why = error.problems[0]
            n = own["repeat"].nunique()
            told = {"target": target, "policy": name, "certified": f"{len(made)} of {n}"}
            yield told | (_over_repeats(policy, made) if made else {}) | {"refused": why}


def _one_repeat(policy: TriagePolicy, rows: pd.DataFrame, *, other: bool) -> pd.DataFrame:
    known = (rows["label"] == "positive").to_numpy()
    hospital = other_hospitals(sites(), rows["PATIENT"].tolist(), rows["fold"]) if other else None
    found = triage_out_of_fold(policy, known, rows["student_calibrated"], rows["fold"], hospital)
    if found.answers is None:
        raise InputError(found.note)
    return pd.DataFrame({"positive": known, "answer": found.answers}, index=rows["PATIENT"])


def _over_repeats(policy: TriagePolicy, repeats: list[pd.DataFrame]) -> Row:
    """Shares of all divisions together, and in how many the stated limit was passed."""
    answers = pd.concat([r["answer"] for r in repeats], axis=1)
    positive = repeats[0]["positive"].loc[answers.index]
    negatives, positives = (
        (answers == "negative").mean(axis=1),
        (answers == "positive").mean(axis=1),
    )
    told: Row = {
        "spared": float((negatives + positives).mean()),
        "missed [95 %]": _with_interval(negatives[positive]),
        "false alarms [95 %]": _with_interval(positives[~positive]),
    }
    if policy.costs is not None:
        paid = [
            mean_costs(policy.costs, r["answer"], r["positive"])["value"].iloc[0] for r in repeats
        ]
        return told | {"cost": f"{np.mean(paid):.2f} (IHC for all: {policy.costs.ihc:.2f})"}
    return told | {"above": _above(policy, answers, positive)}


def _above(policy: TriagePolicy, answers: pd.DataFrame, positive: pd.Series) -> str:
    """In how many divisions the realised share is above the stated one."""
    missed, alarms = (
        (answers == "negative")[positive].mean(),
        (answers == "positive")[~positive].mean(),
    )
    sides = ((missed, policy.max_missed), (alarms, policy.max_false_alarms))
    return str(sum(int((share > limit).sum()) for share, limit in sides if limit is not None))


def _with_interval(errors: pd.Series) -> str:
    """The mean over patients, with the interval over hospitals, which are drawn again as wholes."""
    if not errors.any():
        return "0"
    by_hospital = errors.groupby(sites().reindex(errors.index)).agg(["sum", "size"]).to_numpy()
    rng = np.random.default_rng(0)
    drawn = by_hospital[rng.integers(0, len(by_hospital), (RESAMPLES, len(by_hospital)))].sum(
        axis=1
    )
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return f"{errors.mean():.3f} [{low:.3f}, {high:.3f}]"


def broken_text(rows: Iterable[Row]) -> str:
    """Which promises are shown to be broken, in a sentence."""
    broken = [
        f"{row['target']} ({row['policy']})"
        for row in rows
        if any(_lies_above(str(row.get(column, "")), limit) for column, limit in _stated(row))
    ]
    if not broken:
        return "No interval lies above its stated share: no promise is shown to be broken."
    return f"Above its stated share lies the interval of {', '.join(broken)}."


def _stated(row: Row) -> Iterator[tuple[str, float]]:
    policy = POLICIES[str(row["policy"])]
    if policy.max_missed is not None:
        yield "missed [95 %]", policy.max_missed
    if policy.max_false_alarms is not None:
        yield "false alarms [95 %]", policy.max_false_alarms


def _lies_above(told: str, limit: float) -> bool:
    return "[" in told and float(told.split("[")[1].split(",")[0]) > limit
