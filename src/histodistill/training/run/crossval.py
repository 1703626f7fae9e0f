"""Cross-validation: every target, method, seed and fold, resumable at any moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from histodistill import finished, sealing
from histodistill.calibration.columns import with_calibrated
from histodistill.calibration.network_calibrator import CalibrationSettings, too_few_patients
from histodistill.claims import held
from histodistill.engines.choice import Place
from histodistill.errors import AnswersSealedError, InputError
from histodistill.evaluation import read_predictions, write_predictions
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.foreign_parts import require_foreign_parts
from histodistill.experiment.settings import Experiment
from histodistill.spreadsheets import write_csv
from histodistill.training.fit.tuning import require_optuna
from histodistill.training.folders import PREDICTIONS, VALIDATION
from histodistill.training.run.costs import COSTS, collected_costs
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import Running, Silent, Watcher, run_fits
from histodistill.training.run.planned_fits import Fit, fits_of, folds_of
from histodistill.training.run.precision import require_fast_precision, with_precision
from histodistill.training.run.run_folder import begin_run
from histodistill.training.run.tensorboard import require_tensorboard


def cross_validate(
    experiment: Experiment,
    data: ExperimentData,
    *,
    watcher: Watcher | None = None,
    jobs: int | None = None,
    threads: int | None = None,
    tensorboard: bool = False,
    on: str = "local",
) -> pd.DataFrame:
    """Cross-validate an experiment and write out-of-fold predictions.

    Finished trainings of an earlier, interrupted call are kept, and an unfinished one goes
    on from its last epoch. The folder ``experiment.output`` gets ``predictions.csv`` (test
    patients), ``validation.csv``, ``costs.csv``, the resolved configuration, versions, and for
    each training its curves, its cost and its model. A training that fails stops no other.
    Several calls, on one machine or several, may share the folder: they divide the trainings.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        watcher: Told of progress; with several jobs of epochs in another thread.
        jobs: Trainings at the same time, in processes of their own; by default 1, in this process,
            and as many as there is room for elsewhere.
        threads: Threads of each training; by default the cores are divided among the jobs, and 1
            elsewhere. Results are the same for any number of jobs, as long as this one is, and
            everywhere. Trainings that share a pass differ in the last digits where an interrupted
            run goes on with others.
        tensorboard: Write TensorBoard events beside the training curves (an extra).
        on: Where: ``local``, this machine; ``ray`` or ``ray://HOST:PORT``, a Ray cluster;
            ``slurm``, arrays of jobs. Elsewhere epochs are not told.

    Returns:
        The out-of-fold predictions, as ``histodistill.evaluation.layout`` describes.

    Raises:
        InputError: The folder holds results of another configuration, the patients cannot be
            divided as asked, parts of other packages fail on toy patients, this processor is
            slower in bfloat16 than in float32, or trainings failed: each is named, and all others
            are finished.
        AnswersSealedError: All is trained, and ``splits.seal`` keeps the answers to test patients
            sealed.
    """
    running = Running(Place.named(on), jobs, threads)
    running.place.require()
    if tensorboard:
        require_tensorboard()
    if experiment.tuning is not None:
        require_optuna()
    if experiment.splits.seal:
        sealing.require_cryptography()
    fits = fits_of(experiment, data)
    require_foreign_parts(experiment, data, folds_of(fits))
    require_calibration(experiment, fits)
    experiment = with_precision(experiment)
    require_fast_precision(experiment, fits)
    begin_run(experiment, data)
    if experiment.splits.seal:
        with held(experiment.output):  # one key, whoever else begins
            _begin_sealed(experiment.output)
    runner = FitRunner(experiment, data, tensorboard=tensorboard)
    failures = run_fits(runner, fits, watcher or Silent(), running)
    if failures:
        raise InputError(
            *(sentence for failure in failures for sentence in failure.sentences()),
            f"{len(failures)} of {len(fits)} trainings failed; the others are finished and "
            "are not trained again by the same command",
        )
    with held(experiment.output):
        return _collect(fits, experiment.output, experiment.calibration)


def _begin_sealed(output: Path) -> None:
    """Make the key of a run that has none.

    Raises:
        InputError: The answers of an earlier run are opened in part.
    """
    if sealing.is_half_open(output):
        raise InputError(sealing.unread_sentence(output))
    sealing.begin(output)


def _collect(fits: Sequence[Fit], output: Path, settings: CalibrationSettings) -> pd.DataFrame:
    """The results of all trainings in one table each; the predictions, calibrated as well."""
    finished.begin(output)
    write_csv(output / COSTS, collected_costs(fits, output))
    places = [fit.folder(output) for fit in fits]
    validation = [read_predictions(place / VALIDATION) for place in places]
    # A patient validates in several folds, so this is no table to be evaluated.
    write_csv(output / VALIDATION, pd.concat(validation, ignore_index=True))
    if sealing.is_sealed(output):
        _keep_sealed(fits, output)
    predictions = calibrated_predictions(places, validation, settings)
    write_predictions(output / PREDICTIONS, predictions)
    finished.finish(output, (PREDICTIONS, VALIDATION, COSTS))
    return predictions


def require_calibration(experiment: Experiment, fits: Sequence[Fit]) -> None:
    """Refuse a calibrator that the validation patients of a fold are too few for.

    Raises:
        InputError: A sentence for each target.
    """
    problems: dict[str, None] = {}
    for fit in fits:
        validation = len(fit.fold.validation)
        method = experiment.methods.get(fit.method)
        if method is not None and method.training.members > 1:
            validation += len(fit.fold.train)
        problem = too_few_patients(experiment.calibration, validation)
        if problem:
            problems[f"target {fit.target}, {fit.method}: {problem}"] = None
    if problems:
        raise InputError(*problems)


def _keep_sealed(fits: Sequence[Fit], output: Path) -> None:
    """Write down what is sealed, and end there.

    Raises:
        AnswersSealedError: Always.
    """
    folders: dict[str, list[str]] = {}
    for fit in fits:
        own = str(fit.folder(output).relative_to(output))
        folders.setdefault(fit.method, []).append(own)
    sealing.write_contents(output, folders)
    finished.finish(output, (VALIDATION, COSTS))
    raise AnswersSealedError(sealing.unread_sentence(output))


def calibrated_predictions(
    places: Sequence[Path], validation: Sequence[pd.DataFrame], settings: CalibrationSettings
) -> pd.DataFrame:
    """The predictions of several fits, calibrated as well.

    Args:
        places: Folders of the fits.
        validation: What each says of its validation patients.
        settings: How to calibrate.
    """
    predictions = [
        with_calibrated(read_predictions(place / PREDICTIONS), own, settings)
        for place, own in zip(places, validation, strict=True)
    ]
    return pd.concat(predictions, ignore_index=True)


def joined(parts: Iterable[Path]) -> pd.DataFrame:
    """The predictions tables of several trainings, one below the other."""
    return pd.concat([read_predictions(part) for part in parts], ignore_index=True)
