"""The runs of one network: what it answers with each seed and repeat, for the same patients.

A pooled figure is the mean over runs of each run's figure on all its patients: the performance of
one training of each fold, with its chance averaged out. It does not grow with the number of seeds,
as the figure of averaged probabilities does, so that methods with one seed and with three are
compared like with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histodistill.evaluation.answers import Answers, FloatArray, IntArray, answers_of
from histodistill.evaluation.auc_interval import auc_interval
from histodistill.evaluation.delong import influence
from histodistill.evaluation.layout import rest_of
from histodistill.evaluation.metrics import confusion
from histodistill.evaluation.registry import STANDARD_METRICS
from histodistill.evaluation.scores import weighted_auc, weighted_metrics


@dataclass(frozen=True)
class Runs:
    """The answers of one network, a run a seed and repeat.

    Attributes:
        runs: The answers of each run; a patient may be lacking in some.
        patients: Everybody who is answered in any run, n of them, sorted.
        y: [n] int64, each patient's class.
        classes: The C class names.
        n_models: Models that answered: fits of a seed, repeat and fold.
    """

    runs: tuple[Answers, ...]
    patients: tuple[str, ...]
    y: IntArray
    classes: tuple[str, ...]
    n_models: int

    @classmethod
    def joined(cls, runs: Sequence[Answers], classes: tuple[str, ...], n_models: int) -> Runs:
        """Runs from the answers of each; those that answer nobody count for nothing."""
        answering = tuple(run for run in runs if len(run))
        label = {p: k for run in answering for p, k in zip(run.patients, run.y, strict=True)}
        patients = tuple(sorted(label))
        y = np.array([label[name] for name in patients], dtype=np.int64)
        return cls(answering, patients, y, classes, n_models)

    def __len__(self) -> int:
        return len(self.patients)

    @property
    def binary(self) -> bool:
        """Whether there are two classes, the second one positive."""
        return len(self.classes) == 2

    @property
    def counts(self) -> IntArray:
        """[C] patients of each class."""
        return np.bincount(self.y, minlength=len(self.classes)).astype(np.int64)

    @property
    def class_counts(self) -> str:
        """Patients of each class in words: ``57 low, 300 middle, 71 high``."""
        return ", ".join(f"{n} {name}" for n, name in zip(self.counts, self.classes, strict=True))

    def missing_classes(self) -> list[str]:
        """Names of the classes that no patient of some run has."""
        return list(dict.fromkeys(name for run in self.runs for name in run.missing_classes()))

    def of(self, patients: Sequence[str]) -> Runs:
        """The same runs for some of the patients."""
        wanted = set(patients)
        kept = [run.of([p for p in run.patients if p in wanted]) for run in self.runs]
        return Runs.joined(kept, self.classes, self.n_models)

    def against_rest(self, index: int) -> Runs:
        """The same runs of one class against all others."""
        runs = tuple(run.against_rest(index) for run in self.runs)
        names = (rest_of(self.classes[index]), self.classes[index])
        y = (self.y == index).astype(np.int64)
        return Runs(runs, self.patients, y, names, self.n_models)

    def confusion(self) -> FloatArray | None:
        """[C, C] patients by true class (rows) and called class, the mean over runs.

        None where nobody answers, or calls lack a threshold.
        """
        if not self.runs or not all(run.has_calls for run in self.runs):
            return None
        of_runs = [confusion(run, np.ones((1, len(run))))[0] for run in self.runs]
        return np.asarray(np.mean(of_runs, axis=0))

    def aucs(self, weights: FloatArray) -> FloatArray:
        """[B] mean AUC under each row of the patients' weights [B, n]."""
        of_runs = [weighted_auc(run, own) for run, own in self.weighted(weights)]
        return np.asarray(np.mean(of_runs, axis=0))

    def metrics(
        self, weights: FloatArray, metrics: Sequence[str] = STANDARD_METRICS
    ) -> dict[str, FloatArray]:
        """For each metric [B] its mean over runs; NaN where it is undefined in one of them."""
        of_run = [weighted_metrics(run, own, metrics) for run, own in self.weighted(weights)]
        if not of_run:
            return {name: np.full(len(weights), np.nan) for name in metrics}
        return {name: np.mean([own[name] for own in of_run], axis=0) for name in of_run[0]}

    def influence(self) -> FloatArray:
        """[n] how much each patient moves the mean AUC (two classes, both with patients)."""
        place = {name: i for i, name in enumerate(self.patients)}
        moved = np.zeros(len(self))
        for run in self.runs:
            moved[[place[name] for name in run.patients]] += influence(run.y, run.positive)
        return moved / len(self.runs)

    def weighted(self, weights: FloatArray) -> list[tuple[Answers, FloatArray]]:
        """Each run with the weights [B, .] of its own patients, from those of all [B, n]."""
        place = {name: i for i, name in enumerate(self.patients)}
        return [(run, weights[:, [place[name] for name in run.patients]]) for run in self.runs]


def runs_of(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> Runs:
    """The runs of one network in rows of a checked predictions table.

    Args:
        rows: Rows of one target and one method.
        network: Name of the network.
        classes: The target's classes, as ``target_classes`` gives them.
    """
    runs = [answers_of(run, network, classes) for _, run in rows.groupby(["seed", "repeat"])]
    models = rows.groupby(["seed", "repeat", "fold"]).ngroups
    return Runs.joined(runs, classes, models)


def auc_of(runs: Runs) -> tuple[float, float, float]:
    """The pooled AUC of two classes with its 95 % interval; NaN where a class has no patient."""
    if not len(runs) or runs.missing_classes():
        return float("nan"), float("nan"), float("nan")
    auc = float(runs.aucs(np.ones((1, len(runs))))[0])
    variance = variance_of(runs.influence(), runs.y)
    negatives, positives = runs.counts.tolist()
    low, high = auc_interval(auc, variance, positives, negatives)
    return auc, float(low), float(high)


def variance_of(moved: FloatArray, y: IntArray) -> float:
    """DeLong's variance of whatever the patients move so; NaN where a class has one patient."""
    total = 0.0
    for label in np.unique(y):
        own = moved[y == label]
        total += float((own**2).sum() * len(own) / (len(own) - 1)) if len(own) > 1 else np.nan
    return total
