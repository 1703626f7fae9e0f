"""The fits of a cross-validation, and where the results of each lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from histodistill.cohort import Fold
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import folds_for
from histodistill.experiment.settings import Experiment
from histodistill.training.folders import BASELINES, PREDICTIONS, fold_name


@dataclass(frozen=True)
class Fit:
    """One training: a method on a fold of a target with a seed."""

    target: str
    method: str
    seed: int
    fold: Fold

    def __str__(self) -> str:
        repeat = f" repeat {self.fold.repeat}" if self.fold.repeat else ""
        return f"{self.target} {self.method} seed {self.seed}{repeat} fold {self.fold.index}"

    def folder(self, output: Path) -> Path:
        """Where its results lie."""
        place = output / "fits" / self.target / self.method / f"seed-{self.seed}"
        return place / fold_name(self.fold)

    def finished(self, output: Path) -> bool:
        """Whether an earlier run has finished it: its test predictions are written last."""
        return (self.folder(output) / PREDICTIONS).exists()


def fits_of(experiment: Experiment, data: ExperimentData) -> tuple[Fit, ...]:
    """All fits of an experiment, those of a method together.

    Fits that come one after the other are of different folds, so that processes seldom wait
    for a teacher that another one is training. The baselines, which have no seed, count as one
    fit a fold.

    Raises:
        InputError: The patients cannot be divided as asked.
    """
    folds = {target: folds_for(experiment, data, target).folds for target in experiment.targets}
    return tuple(
        Fit(target, method, seed, fold)
        for method, seeds in _methods(experiment)
        for seed in seeds
        for target, own in folds.items()
        for fold in own
    )


def _methods(experiment: Experiment) -> Iterator[tuple[str, tuple[int, ...]]]:
    if experiment.baselines:
        yield BASELINES, (0,)
    for method in experiment.methods:
        yield method, experiment.seeds_of(method)
