"""Answers of logistic regression to the real cohort; for trust.py.

In each division of the patients, logistic regression on the mean patch, five members, each held
out from another part of the training patients; what they answer there calibrates them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill import read_experiment
from histodistill.baselines.logistic import LogisticBaseline
from histodistill.calibration.network_calibrator import CalibrationSettings, calibrate_network
from histodistill.cohort import Fold, site_preserved_folds, stratified_folds
from histodistill.experiment import ExperimentData, load
from histodistill.training.fit.baselines import mean_patch_table

HERE = Path(__file__).resolve().parent
SITES = HERE / "tcga-brca-sites.yaml"
RUNS = HERE.parent / "runs"
REPEATS, FOLDS, MEMBERS = 20, 5, 5
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
            model.fit(self.features.loc[own.index].to_numpy(), np.asarray(own, np.int64))
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
