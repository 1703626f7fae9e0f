"""Runs single fits and writes their results."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pandas as pd

from histodistill import sealing
from histodistill.cohort import Fold
from histodistill.deploy.bundle import Bundle
from histodistill.evaluation import write_predictions
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment
from histodistill.files import write_text
from histodistill.inference import Probabilities
from histodistill.training.fit.baselines import answer_by_baselines
from histodistill.training.fit.ensemble import FittedEnsemble, fit_ensemble
from histodistill.training.fit.prediction_rows import prediction_rows
from histodistill.training.fit.teachers import shares_a_pass
from histodistill.training.fit.trainings import Steps
from histodistill.training.fit.tuning import TUNING, tuned_method
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.fold.scaled_genes import ScaledGenes
from histodistill.training.folders import (
    BASELINES,
    MODEL,
    PREDICTIONS,
    TEACHERS,
    VALIDATION,
    fold_name,
)
from histodistill.training.loop.checkpoint import forget_states
from histodistill.training.loop.epoch import Epoch, OnEpoch
from histodistill.training.loop.shared_pass import models_in_a_pass
from histodistill.training.loop.trainer import CHECKPOINT
from histodistill.training.run.bundle_info import bundle_info
from histodistill.training.run.calibrating import calibration_of_fit
from histodistill.training.run.costs import write_baseline_costs, write_cost
from histodistill.training.run.planned_fits import Fit
from histodistill.training.run.tensorboard import event_writer


class FitRunner:
    """Runs the fits of one experiment.

    Gene selection and scaling are fitted once a fold, whatever the number of its fits.

    Args:
        experiment: The experiment.
        data: Its inputs.
        tensorboard: Write TensorBoard events beside the training curves.
        keep_models: Write each fit's model; without, its answers alone are kept.
    """

    def __init__(
        self,
        experiment: Experiment,
        data: ExperimentData,
        *,
        tensorboard: bool = False,
        keep_models: bool = True,
    ) -> None:
        self.experiment = experiment
        self._data = data
        self.tensorboard = tensorboard
        self._keep_models = keep_models
        self._scaled_genes = ScaledGenes()
        self._folds: dict[tuple[str, Fold], FoldData] = {}

    def fits_in_a_pass(self, method: str) -> int:
        """How many fits of a method are trained together: 1 where that is not faster.

        One as well where each searches first: who searches waits for others that do.
        """
        alone = method == BASELINES or self.experiment.tuning is not None
        if alone or not shares_a_pass(self.experiment.methods[method]):
            return 1
        members = self.experiment.methods[method].training.members
        return max(1, self.models_in_a_pass(method) // members)

    def models_in_a_pass(self, method: str) -> int:
        """How many trainings of a method may share a pass, so that memory holds them."""
        if method == BASELINES:
            return 1
        return models_in_a_pass(self.experiment.methods[method], self._data.bags)

    def steps(self, fit: Fit, on_epoch: OnEpoch | None = None) -> Steps[None]:
        """Train a fit, or go on with it, and write its model, cost and predictions."""
        fit.begin(self.experiment.output)
        inputs = self._inputs(fit)
        if fit.method == BASELINES:
            answers = answer_by_baselines(self.experiment, inputs)
            write_baseline_costs(fit.folder(self.experiment.output), answers.costs)
            validation, test = answers.validation, answers.test
        else:
            method = self._method(fit, inputs)
            fitted = yield from self._fitted(method, fit, inputs, on_epoch)
            self._save(method, fit, inputs, fitted)
            tested = fitted.readable(fit.fold.test)
            validation = self._rows(fit, inputs, fitted, fitted.held_out, fitted.held_out_answers)
            test = self._rows(fit, inputs, fitted, tested, fitted.answer(tested))
        folder = fit.folder(self.experiment.output)
        write_predictions(folder / VALIDATION, validation)
        self._write_answers(folder, test)
        fit.finish(self.experiment.output)
        forget_states(folder, CHECKPOINT)

    def _write_answers(self, folder: Path, test: pd.DataFrame) -> None:
        """The answers to test patients, sealed where the experiment asks for it."""
        run = self.experiment.output
        if sealing.is_sealed(run):
            sealed = folder / sealing.SEALED
            sealing.write_sealed(run, sealed, lambda plain: write_predictions(plain, test))
        else:
            write_predictions(folder / PREDICTIONS, test)

    def _inputs(self, fit: Fit) -> FoldData:
        key = (fit.target, fit.fold)
        if key not in self._folds:
            self._folds[key] = prepare_fold(
                self.experiment, self._data, fit.target, fit.fold, self._scaled_genes
            )
        return self._folds[key]

    @property
    def _teachers(self) -> Path:
        return self.experiment.output / TEACHERS

    def _method(self, fit: Fit, inputs: FoldData) -> MethodSettings:
        """The method as it is trained on this fold."""
        output = self.experiment.output
        place = output / "tuning" / fit.target / fit.method / fold_name(fit.fold)
        method = tuned_method(self.experiment, fit.method, inputs, place, self._teachers)
        if self.experiment.tuning is not None:
            chosen = (place / TUNING).read_text(encoding="utf-8")
            write_text(fit.folder(output) / TUNING, chosen)
        return method

    def _fitted(
        self, method: MethodSettings, fit: Fit, inputs: FoldData, on_epoch: OnEpoch | None
    ) -> Steps[FittedEnsemble]:
        folder = fit.folder(self.experiment.output)
        with event_writer(folder) if self.tensorboard else nullcontext() as write_events:

            def told(epoch: Epoch) -> None:
                if on_epoch is not None:
                    on_epoch(epoch)
                if write_events is not None:
                    write_events(epoch)

            fitted = yield from fit_ensemble.steps(
                self.experiment,
                method,
                inputs,
                fit.seed,
                folder,
                told,
                teachers=self._teachers,
            )
        return fitted

    def _save(
        self, method: MethodSettings, fit: Fit, inputs: FoldData, fitted: FittedEnsemble
    ) -> None:
        folder = fit.folder(self.experiment.output)
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        if self._keep_models:
            info = bundle_info(self.experiment, inputs, fit.method, method, fit.seed)
            calibration = calibration_of_fit(self.experiment, inputs.data, fit.target, fitted)
            Bundle(info, fitted.members, calibration=calibration).save(folder / MODEL)
        write_cost(folder, fitted.models, fit.fold.test)

    def _rows(
        self,
        fit: Fit,
        inputs: FoldData,
        fitted: FittedEnsemble,
        patients: Sequence[str],
        answers: Probabilities,
    ) -> pd.DataFrame:
        return prediction_rows(
            self.experiment.targets[fit.target],
            inputs,
            patients,
            answers,
            fitted.thresholds,
            method=fit.method,
            seed=fit.seed,
        )
