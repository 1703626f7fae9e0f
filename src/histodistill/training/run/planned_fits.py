"""The fits of a cross-validation, and where the results of each lie."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from histodistill.cohort import Fold
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import folds_for
from histodistill.experiment.settings import Experiment
from histodistill.files import sha256, write_json
from histodistill.training.folders import (
    BASELINES,
    COST,
    FINISHED,
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
        (self.folder(output) / FINISHED).unlink(missing_ok=True)

    def finish(self, output: Path) -> None:
        """Write down what the results are, last of all: from here on the fit is finished."""
        folder = self.folder(output)
        results = [folder / name for name in (PREDICTIONS, VALIDATION, COST)]
        record = {
            file.name: {"lines": _lines(file), "sha256": sha256(file)}
            for file in results
            if file.exists()
        }
        write_json(folder / FINISHED, record)

    def finished(self, output: Path) -> bool:
        """Whether an earlier run has finished it.

        Raises:
            InputError: Results have changed since they were written, so that they can be neither
                taken for whole nor replaced without a word; each file is named.
        """
        folder = self.folder(output)
        if not (folder / PREDICTIONS).exists() or not (folder / FINISHED).exists():
            return False
        problems = list(_changes(folder))
        if problems:
            raise InputError(*problems)
        return True


def _changes(folder: Path) -> Iterator[str]:
    """One sentence for each result that is not what was written when the fit finished."""
    again = f"copy it again, or remove {folder} to train this fit again"
    try:
        record = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
        written = {name: (entry["lines"], entry["sha256"]) for name, entry in record.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        yield f"{folder / FINISHED}: is damaged; {again}"
        return
    for name, (lines, digest) in written.items():
        file = folder / name
        if not file.exists():
            yield f"{file}: is missing, and was there when this fit finished; {again}"
        elif not file.is_file():  # a pipe would never end
            yield f"{file}: is no ordinary file; {again}"
        elif sha256(file) != digest:
            yield (
                f"{file}: has changed since this fit finished: {_lines(file)} lines now, {lines} "
                f"then; {again}"
            )


def _lines(file: Path) -> int:
    """Lines of a text file, however it is encoded."""
    with file.open("rb") as stream:
        return sum(1 for _ in stream)


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
