"""Answers to the real cohort, and what calibration and triage do with them; for trust.py.

In each division of the patients, logistic regression on the mean patch, five members, each held
out from another part of the training patients; what they answer there calibrates them. The network
`programmes` is trained as the experiment has it, on fewer divisions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from histodistill import cross_validate, read_experiment
from histodistill.baselines.logistic import LogisticBaseline
from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.calibration.out_of_fold import mean_costs, triage_out_of_fold
from histodistill.calibration.triage import Costs, TriagePolicy
from histodistill.cohort import Fold, site_preserved_folds, stratified_folds
from histodistill.errors import InputError
from histodistill.evaluation import calibration_figures
from histodistill.experiment import ExperimentData, load
from histodistill.report import plain_table, to_markdown
from histodistill.training.fit.baselines import mean_patch_table

HERE = Path(__file__).resolve().parent
SITES = HERE / "tcga-brca-sites.yaml"
RUNS = HERE.parent / "runs"
REPEATS, FOLDS, MEMBERS = 20, 5, 5
# Divisions of the network, which takes half a minute of processor time a fold.
NETWORK_REPEATS = 1
# What is asked with hospitals in all parts as well.
MIXED = ("HER2",)
# The strength that the baseline chooses most often; searching it in every member takes hours.
STRENGTH = 1e-4


@dataclass(frozen=True)
class Cohort:
    """One target of the real cohort."""

    target: str
    features: pd.DataFrame
    labels: pd.Series[int]
    sites: pd.Series[str]

    def divisions(self, *, mixed: bool) -> list[Fold]:
        """Twenty times five folds: no hospital in two parts, or all hospitals mixed."""
        if mixed:
            return stratified_folds(self.labels, FOLDS, repeats=REPEATS, seed=0)
        return site_preserved_folds(self.labels, self.sites, FOLDS, repeats=REPEATS, seed=0)

    def answered(self, fold: Fold, *, mixed: bool) -> pd.DataFrame:
        """The test patients of a fold, as given and calibrated."""
        learning = self.labels.drop(list(fold.test))
        parts = self._parts(learning, mixed=mixed)
        held_out = pd.Series(np.nan, learning.index)
        tested = np.zeros(len(fold.test))
        for part in parts:
            own = learning.drop(list(part.test))
            model = LogisticBaseline(inverse_penalty=STRENGTH)
            model.fit(self.features.loc[own.index].to_numpy(), own.to_numpy())
            held_out[list(part.test)] = self._positive(model, part.test)
            tested += self._positive(model, fold.test) / MEMBERS
        both = np.column_stack([1 - held_out, held_out])
        calibrator = calibrate_network(CalibrationSettings(), learning.to_numpy(), both, 1)
        calibrated = calibrator.transform(np.column_stack([1 - tested, tested]), 1)[:, 1]
        return self._rows(fold, tested, calibrated)

    def _parts(self, learning: pd.Series[int], *, mixed: bool) -> list[Fold]:
        if mixed:
            return stratified_folds(learning, MEMBERS, seed=0)
        return site_preserved_folds(learning, self.sites.loc[learning.index], MEMBERS, seed=0)

    def _positive(self, model: LogisticBaseline, patients: tuple[str, ...]) -> np.ndarray:
        return model.predict_proba(self.features.loc[list(patients)].to_numpy())[:, 1]

    def _rows(self, fold: Fold, given: np.ndarray, calibrated: np.ndarray) -> pd.DataFrame:
        named = self.labels.loc[list(fold.test)].map({0: "negative", 1: "positive"})
        return pd.DataFrame(
            {
                "PATIENT": list(fold.test),
                "target": self.target,
                "method": "logistic-slides",
                "seed": 0,
                "repeat": fold.repeat,
                "fold": fold.index,
                "label": named.to_numpy(),
                "positive_class": "positive",
                "student": given,
                "student_calibrated": calibrated,
            }
        )


def cohorts(data: ExperimentData, targets: tuple[str, ...]) -> Iterator[Cohort]:
    """The labelled patients of each target who have slides."""
    assert data.bags is not None
    features = mean_patch_table(data.bags)
    for target in targets:
        labels = data.labels(target)
        labels = labels[labels.index.isin(features.index)].astype(int)
        yield Cohort(target, features, labels, data.clinical.sites.reindex(labels.index))


def logistic_answers(*, mixed: bool = False) -> pd.DataFrame:
    """Answers of logistic regression; read where an earlier call has written them.

    Args:
        mixed: Whether hospitals are in all parts.
    """
    cache = RUNS / f"trust-predictions{'-mixed' if mixed else ''}.csv"
    if not cache.exists():
        experiment = read_experiment(SITES)
        data = load(experiment)
        targets = MIXED if mixed else tuple(experiment.targets)
        rows = [
            cohort.answered(fold, mixed=mixed)
            for cohort in cohorts(data, targets)
            for fold in cohort.divisions(mixed=mixed)
        ]
        cache.parent.mkdir(exist_ok=True)
        pd.concat(rows).to_csv(cache, index=False)
    return pd.read_csv(cache)


def network_answers() -> pd.DataFrame:
    """Answers of `programmes` on divisions that keep hospitals apart; resumed if interrupted."""
    experiment = read_experiment(SITES)
    few = experiment.model_copy(
        update={
            "name": "programmes, one division",
            "splits": experiment.splits.model_copy(update={"repeats": NETWORK_REPEATS}),
            "methods": {"programmes": experiment.methods["programmes"]},
            "baselines": (),
            "output": RUNS / "trust-programmes",
        }
    )
    return cross_validate(few, load(few), threads=1)


def calibration_text(rows: pd.DataFrame) -> str:
    """Calibration of the student, as given and calibrated, as Markdown."""
    figures = calibration_figures(rows)
    figures = figures[figures["network"] == "student"]
    names = ["target", "probabilities", "n_patients", "n_positive", "slope", "intercept", "ece"]
    names += ["brier", "miscalibration", "discrimination"]
    return to_markdown(plain_table(figures[names]))


_COLUMNS = (
    *("target", "policy", "spared", "missed", "false alarms", "divisions", "beyond", "by chance"),
    *("cost", "refused"),
)


def aim_text(rows: pd.DataFrame) -> str:
    """Whether ER and PR are within the aim after calibration, in a sentence."""
    figures = calibration_figures(rows)
    of_student = (figures["network"] == "student") & (figures["probabilities"] == "calibrated")
    own = figures[of_student & figures["target"].isin(["ER", "PR"])]
    missed = own[(own["ece"] > 0.05) | ~own["slope"].between(0.9, 1.1)]
    if missed.empty:
        return "ER and PR are within the aim."
    told = [
        f"{row['target']} (ECE {row['ece']:.3f}, slope {row['slope']:.3f})"
        for row in missed.to_dict("records")
    ]
    return f"Not within the aim: {', '.join(told)}."


def triage_text(rows: pd.DataFrame) -> str:
    """What each policy does, as Markdown."""
    table = pd.DataFrame(triaged(rows), columns=list(_COLUMNS)).fillna("")
    return to_markdown(plain_table(table))


# What may go wrong, and what it costs, in the table of triage.
POLICIES = {
    "miss at most 5 %": TriagePolicy(max_missed=0.05),
    "miss at most 10 %": TriagePolicy(max_missed=0.1),
    "at most 5 % false alarms": TriagePolicy(max_false_alarms=0.05),
    "both at most 5 %": TriagePolicy(max_missed=0.05, max_false_alarms=0.05),
    "costs 10 : 2 : 1": TriagePolicy(costs=Costs(missed=10, false_alarm=2, ihc=1)),
}


def triaged(rows: pd.DataFrame) -> Iterator[dict[str, object]]:
    """What each policy does to each target: chosen on four folds, judged on the fifth."""
    for target, own in rows.groupby("target", sort=False):
        for name, policy in POLICIES.items():
            try:
                repeats = [_one_repeat(policy, part) for _, part in own.groupby("repeat")]
            except InputError as error:
                yield {"target": target, "policy": name, "refused": str(error)}
                continue
            yield {"target": target, "policy": name, **_over_repeats(policy, repeats)}


def _by_chance(policy: TriagePolicy, beyond: int, divisions: int) -> str:
    """How probable so many are where each stated share is passed in 5 % of the divisions."""
    sides = sum(limit is not None for limit in (policy.max_missed, policy.max_false_alarms))
    chance = float(binom.sf(beyond - 1, divisions * sides, 0.05))
    return "<0.0001" if chance < 1e-4 else f"{chance:.2g}"


def _one_repeat(policy: TriagePolicy, rows: pd.DataFrame) -> pd.DataFrame:
    known = (rows["label"] == "positive").to_numpy()
    found = triage_out_of_fold(policy, known, rows["student_calibrated"], rows["fold"])
    if found.answers is None:
        raise InputError(found.note)
    return pd.DataFrame({"positive": known, "answer": found.answers})


def _over_repeats(policy: TriagePolicy, repeats: list[pd.DataFrame]) -> dict[str, object]:
    """Shares of all repeats together, and in how many the stated limit was passed."""
    missed = [
        ((r["answer"] == "negative") & r["positive"]).sum() / r["positive"].sum() for r in repeats
    ]
    alarms = [
        ((r["answer"] == "positive") & ~r["positive"]).sum() / (~r["positive"]).sum()
        for r in repeats
    ]
    beyond = 0
    for share, limit in ((missed, policy.max_missed), (alarms, policy.max_false_alarms)):
        beyond += 0 if limit is None else sum(value > limit for value in share)
    spared = [(r["answer"] != "send to IHC").mean() for r in repeats]
    cost = ""
    if policy.costs is not None:
        paid = [
            mean_costs(policy.costs, r["answer"], r["positive"])["value"].iloc[0] for r in repeats
        ]
        cost = f"{np.mean(paid):.2f} (IHC for all: {policy.costs.ihc:.2f})"
    return {
        "spared": float(np.mean(spared)),
        "missed": float(np.mean(missed)),
        "false alarms": float(np.mean(alarms)),
        "divisions": str(len(repeats)),
        "beyond": "" if policy.costs is not None else beyond,
        "by chance": "" if policy.costs is not None else _by_chance(policy, beyond, len(repeats)),
        "cost": cost,
    }
