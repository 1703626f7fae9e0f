"""The fits of a cross-validation, and where the results of each lie."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from histodistill import finished
from histodistill.cohort import Fold
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import folds_for
from histodistill.experiment.settings import Experiment
from histodistill.sealing import SEALED
from histodistill.training.folders import (
    BASELINES,
    COST,
    PREDICTIONS,
    VALIDATION,
    fold_name,
)


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

    def begin(self, output: Path) -> None:
        """What an earlier run may have finished here is about to be replaced."""
        finished.begin(self.folder(output))

    def finish(self, output: Path) -> None:
        """Write down what the results are, last of all: from here on the fit is finished."""
        finished.finish(self.folder(output), (PREDICTIONS, SEALED, VALIDATION, COST))

    def finished(self, output: Path) -> bool:
        """Whether an earlier run has finished it.

        Raises:
            InputError: Results have changed since they were written, so that they can be neither
                taken for whole nor replaced without a word; each file is named.
        """
        folder = self.folder(output)
        answered = any((folder / name).exists() for name in (PREDICTIONS, SEALED))
        if not answered or not (folder / finished.FINISHED).exists():
            return False
        remedy = f"copy it again, or remove {folder} to train this fit again"
        problems = list(finished.changes(folder, remedy))
        if problems:
            raise InputError(*problems)
        return True


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


def folds_of(fits: Sequence[Fit]) -> dict[str, list[Fold]]:
    """The folds of each target."""
    found: dict[str, dict[Fold, None]] = {}
    for fit in fits:
        found.setdefault(fit.target, {})[fit.fold] = None
    return {target: list(folds) for target, folds in found.items()}


def finished_fits(
    experiment: Experiment, data: ExperimentData, target: str, method: str
) -> list[Fit]:
    """The fits of a method's first seed, a fold each.

    Raises:
        InputError: They are not finished.
    """
    wanted = (target, method, experiment.seeds_of(method)[0])
    fits = [f for f in fits_of(experiment, data) if (f.target, f.method, f.seed) == wanted]
    if not all(fit.finished(experiment.output) for fit in fits):
        raise InputError(
            f"{experiment.output}: the cross-validation of {method} for {target} is not finished; "
            "run `histodistill crossval` first"
        )
    return fits


def _methods(experiment: Experiment) -> Iterator[tuple[str, tuple[int, ...]]]:
    if experiment.baselines:
        yield BASELINES, (0,)
    for method in experiment.methods:
        yield method, experiment.seeds_of(method)
