"""Cross-validation: every target, method, seed and fold, resumable at any moment."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import joblib
import pandas as pd
import torch

from histodistill.cohort import Fold
from histodistill.deploy.bundle import Bundle
from histodistill.evaluation import read_predictions, write_predictions
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import folds_for
from histodistill.experiment.settings import Experiment
from histodistill.files import whole_file
from histodistill.training.baselines import baseline_rows
from histodistill.training.describe import bundle_info
from histodistill.training.events import event_writer, require_tensorboard
from histodistill.training.fitting import fit_model, readable
from histodistill.training.fold import FoldData, prepare_fold
from histodistill.training.rows import prediction_rows
from histodistill.training.run import open_run
from histodistill.training.trainer import CHECKPOINT, Epoch
from histodistill.training.workers import end_with_parent

PREDICTIONS = "predictions.csv"
VALIDATION = "validation.csv"
MODEL = "model"
BASELINES = "baselines"


@dataclass(frozen=True)
class Fit:
    """One training: a method on a fold of a target with a seed."""

    target: str
    method: str
    seed: int
    fold: Fold

    def folder(self, output: Path) -> Path:
        """Where its results lie."""
        place = output / "fits" / self.target / self.method / f"seed-{self.seed}"
        return place / f"repeat-{self.fold.repeat}-fold-{self.fold.index}"


class Watcher(Protocol):
    """What wants to know how a cross-validation proceeds."""

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """After every epoch."""

    def on_fit(self, fit: Fit) -> None:
        """After every training, those that an earlier run had finished included."""


class _Silent:
    """Watches without a word."""

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        pass

    def on_fit(self, fit: Fit) -> None:
        pass


def cross_validate(
    experiment: Experiment,
    data: ExperimentData,
    *,
    watcher: Watcher | None = None,
    jobs: int = 1,
    tensorboard: bool = False,
) -> pd.DataFrame:
    """Cross-validate an experiment and write out-of-fold predictions.

    Finished trainings of an earlier, interrupted call are kept, and an unfinished one goes
    on from its last epoch. The folder ``experiment.output`` gets ``predictions.csv`` (test
    patients), ``validation.csv``, the resolved configuration, versions, and for each
    training its curves and its model.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        watcher: Told of progress; with several jobs only of finished folds.
        jobs: Folds trained at the same time, in processes that share the cores. Results
            are the same for the same number of jobs.
        tensorboard: Write TensorBoard events beside the training curves (an extra).

    Returns:
        The out-of-fold predictions, as ``histodistill.evaluation.layout`` describes.

    Raises:
        InputError: The folder holds results of another configuration, or the patients
            cannot be divided as asked.
    """
    if tensorboard:
        require_tensorboard()
    folds = {target: folds_for(experiment, data, target).folds for target in experiment.targets}
    with open_run(experiment, data):
        units = [(target, fold) for target, own in folds.items() for fold in own]
        watcher = watcher or _Silent()
        if jobs == 1:
            for target, fold in units:
                _run_fold(experiment, data, target, fold, watcher, tensorboard)
        else:
            _run_in_processes(experiment, data, units, watcher, jobs, tensorboard)
        fits = [fit for target, fold in units for fit in _fits(experiment, target, fold)]
        places = [fit.folder(experiment.output) for fit in fits]
        chosen_on = _joined([place / VALIDATION for place in places])
        with whole_file(experiment.output / VALIDATION) as temporary:
            # A patient validates in several folds, so this is no table to be evaluated.
            chosen_on.to_csv(temporary, index=False)
        predictions = _joined([place / PREDICTIONS for place in places])
        write_predictions(experiment.output / PREDICTIONS, predictions)
        return predictions


def _fits(experiment: Experiment, target: str, fold: Fold) -> Iterator[Fit]:
    """All trainings on one fold; the baselines, which have no seed, count as one."""
    if experiment.baselines:
        yield Fit(target, BASELINES, 0, fold)
    for method in experiment.methods:
        for seed in experiment.seeds:
            yield Fit(target, method, seed, fold)


def _run_fold(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    fold: Fold,
    watcher: Watcher,
    tensorboard: bool,
) -> None:
    """All trainings on one fold; what is fitted before training is fitted once for all."""
    inputs: FoldData | None = None
    for fit in _fits(experiment, target, fold):
        # The test predictions are written last: where they are, the training is finished.
        if not (fit.folder(experiment.output) / PREDICTIONS).exists():
            inputs = inputs or prepare_fold(experiment, data, target, fold)
            _run_fit(experiment, inputs, fit, watcher, tensorboard)
        watcher.on_fit(fit)


def _run_fit(
    experiment: Experiment, inputs: FoldData, fit: Fit, watcher: Watcher, tensorboard: bool
) -> None:
    folder = fit.folder(experiment.output)
    target = experiment.targets[fit.target]
    if fit.method == BASELINES:
        validation, test = baseline_rows(experiment, inputs)
    else:
        method = experiment.methods[fit.method]
        with event_writer(folder) if tensorboard else nullcontext() as write_events:

            def on_epoch(epoch: Epoch) -> None:
                watcher.on_epoch(fit, epoch)
                if write_events is not None:
                    write_events(epoch)

            fitted = fit_model(method, target, inputs, fit.seed, folder, on_epoch)
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        info = bundle_info(experiment, inputs, fit.method, fit.seed)
        Bundle(info, (fitted.member,)).save(folder / MODEL)
        validation, test = (
            prediction_rows(
                target,
                inputs,
                patients := readable(fitted.prepared, part),
                fitted.answer(patients),
                fitted.member.thresholds,
                method=fit.method,
                seed=fit.seed,
            )
            for part in (fit.fold.validation, fit.fold.test)
        )
    write_predictions(folder / VALIDATION, validation)
    write_predictions(folder / PREDICTIONS, test)
    (folder / CHECKPOINT).unlink(missing_ok=True)


def _run_in_processes(
    experiment: Experiment,
    data: ExperimentData,
    units: list[tuple[str, Fold]],
    watcher: Watcher,
    jobs: int,
    tensorboard: bool,
) -> None:
    """Folds in parallel; each process gets its share of the cores."""
    threads = max(1, torch.get_num_threads() // jobs)
    finished = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")(
        joblib.delayed(_run_unit)(
            experiment, data, target, fold, tensorboard, threads=threads, parent=os.getpid()
        )
        for target, fold in units
    )
    for target, fold in finished:
        for fit in _fits(experiment, target, fold):
            watcher.on_fit(fit)


def _run_unit(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    fold: Fold,
    tensorboard: bool,
    *,
    threads: int,
    parent: int,
) -> tuple[str, Fold]:
    end_with_parent(parent)
    torch.set_num_threads(threads)
    _run_fold(experiment, data, target, fold, _Silent(), tensorboard)
    return target, fold


def _joined(parts: list[Path]) -> pd.DataFrame:
    """The tables of all trainings, one below the other."""
    return pd.concat([read_predictions(part) for part in parts], ignore_index=True)
