"""Calibrators of the models of a run, and the held-out answers that are kept with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill import sealing
from histodistill.calibration.columns import with_calibrated
from histodistill.calibration.held_out import HeldOutAnswers, Scale
from histodistill.calibration.hospitals import Groups, other_hospitals
from histodistill.calibration.network_calibrator import NetworkCalibrator, calibrate_network
from histodistill.calibration.triage import (
    TriagePolicy,
    fit_triage,
    unsupported,
    unsupported_elsewhere,
)
from histodistill.cohort import Target
from histodistill.deploy.calibration import BundleCalibration
from histodistill.errors import InputError
from histodistill.evaluation import (
    answers_of,
    as_calibrated,
    networks_in,
    read_predictions,
    target_classes,
)
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.inference import Probabilities
from histodistill.model import NETWORKS, NetworkName
from histodistill.training.fit.ensemble import FittedEnsemble
from histodistill.training.folders import PREDICTIONS, VALIDATION
from histodistill.training.run.planned_fits import Fit, fits_of


def calibration_of_fit(
    experiment: Experiment, data: ExperimentData, target: str, fitted: FittedEnsemble
) -> BundleCalibration:
    """Calibrators of a fit from its held-out patients, whose answers are kept.

    Members of an ensemble answer the part that each has not learnt from; the calibrator of these
    answers is that of their average, as the operating threshold is.
    """
    declared, patients = experiment.targets[target], fitted.held_out
    y = np.asarray(data.labels(target).loc[list(patients)], dtype=np.int64)
    networks = _calibrators(experiment, declared, y, fitted.held_out_answers)
    held_out = {}
    if declared.positive is not None:
        place = declared.classes.index(declared.positive)
        hospital = _hospitals_apart(experiment, data, patients)
        held_out = {
            name: HeldOutAnswers.of(
                y == place, answer[:, place], origin="validation", hospital=hospital
            )
            for name, answer in fitted.held_out_answers.items()
        }
    return BundleCalibration(networks=networks, held_out=held_out)


def calibration_of_final(
    experiment: Experiment,
    data: ExperimentData,
    fit: Fit,
    fitted: FittedEnsemble,
) -> BundleCalibration:
    """Calibrators of the final model from its validation patients.

    What triage is certified by are the patients of a finished cross-validation of the method, who
    are more: each answered by the model of a fold and calibrated on that one's validation
    patients, so that all are on one scale. Without it, they are the validation patients.
    """
    own = calibration_of_fit(experiment, data, fit.target, fitted)
    tested = _out_of_fold(experiment, data, fit.target, fit.method, fit.seed, calibrated=True)
    kept = {name: answers for name, answers in tested.items() if own.networks[name].name != "none"}
    return own.model_copy(update={"held_out": own.held_out | kept, "triage": experiment.triage})


def calibration_of_folds(
    experiment: Experiment, data: ExperimentData, target: str, method: str
) -> BundleCalibration:
    """Calibrators of all models of a cross-validation averaged, from its out-of-fold answers."""
    declared = experiment.targets[target]
    rows = _rows(experiment, _fits(experiment, data, target, method), calibrated=False)
    networks: dict[NetworkName, NetworkCalibrator] = {}
    classes = target_classes(rows)
    positive = None if declared.positive is None else declared.classes.index(declared.positive)
    # In a table of two classes the positive one is the second, however the experiment names them.
    turned = slice(None, None, -1 if positive == 0 else 1)
    for network in _answering(rows):
        answers = answers_of(rows, network, classes)
        y = 1 - answers.y if positive == 0 else answers.y
        networks[network] = calibrate_network(
            experiment.calibration, y, answers.probabilities[:, turned], positive
        )
    tested = _out_of_fold(experiment, data, target, method, None, calibrated=False)
    return BundleCalibration(networks=networks, held_out=tested, triage=experiment.triage)


def require_supported(
    experiment: Experiment, data: ExperimentData, fit: Fit, held_out: Sequence[str]
) -> None:
    """Refuse a triage policy that cannot be certified, before the final model is trained.

    The answers of a finished cross-validation, which certify it, are known already. Without them
    the validation patients will certify it: how many they are, and of how many hospitals, bounds
    what their answers can show.

    Args:
        experiment: The experiment.
        data: Its inputs.
        fit: What is about to be trained.
        held_out: The patients whose answers the bundle will keep.

    Raises:
        InputError: Says how many patients it would take.
    """
    declared, policy = experiment.targets[fit.target], experiment.triage
    if policy is None:
        return
    if declared.positive is None:
        raise InputError(f"`triage` is for two classes, and {fit.target} has more; leave it out")
    tested = _out_of_fold(experiment, data, fit.target, fit.method, fit.seed, calibrated=True)
    if tested:
        _require_certified(policy, tested)
        return
    known = data.labels(fit.target).loc[list(held_out)] == declared.classes.index(declared.positive)
    problems = unsupported(policy, int(known.sum()), int((~known).sum()))
    hospital = _hospitals_apart(experiment, data, held_out)
    if hospital is not None:
        problems += unsupported_elsewhere(policy, known, hospital)
    if problems:
        hint = "a finished `histodistill crossval` brings all patients to bear"
        raise InputError(*(f"`triage`: {problem}; {hint}" for problem in problems))


def _require_certified(policy: TriagePolicy, answers: Mapping[NetworkName, HeldOutAnswers]) -> None:
    """Refuse a policy that the answers of no network certify."""
    problems = []
    for name, kept in answers.items():
        try:
            fit_triage(policy, kept.y, kept.p, kept.hospitals)
        except InputError as error:
            problems += [f"`triage`: {name}: {problem}" for problem in error.problems]
        else:
            return
    raise InputError(*problems)


def _hospitals_apart(
    experiment: Experiment, data: ExperimentData, held_out: Sequence[str]
) -> Groups | None:
    """The hospitals of held-out patients, where those who train the model are of other ones."""
    if experiment.splits.scheme != "site":
        return None
    return other_hospitals(data.clinical.sites, held_out, np.zeros(len(held_out)))


def _calibrators(
    experiment: Experiment, target: Target, y: NDArray[np.int64], answers: Probabilities
) -> dict[NetworkName, NetworkCalibrator]:
    positive = None if target.positive is None else target.classes.index(target.positive)
    return {
        name: calibrate_network(experiment.calibration, y, answer, positive)
        for name, answer in answers.items()
    }


def _out_of_fold(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    method: str,
    seed: int | None,
    *,
    calibrated: bool,
) -> dict[NetworkName, HeldOutAnswers]:
    """The out-of-fold answers of a finished cross-validation.

    Nothing where it is not finished, or where its answers to test patients are sealed: what nobody
    may see certifies nothing.
    """
    fits = list(_fits(experiment, data, target, method))
    if seed is not None:
        fits = [f for f in fits if f.seed == seed and f.fold.repeat == 0]
    if experiment.targets[target].positive is None or not fits:
        return {}
    if not _are_open(experiment, fits):
        return {}
    rows = _rows(experiment, fits, calibrated=calibrated)
    scale: Scale = "calibrated" if calibrated else "as given"
    kept: dict[NetworkName, HeldOutAnswers] = {}
    classes = target_classes(rows)
    for network in _answering(rows):
        answers = answers_of(rows, network, classes)
        fold = rows.groupby("PATIENT")["fold"].first().loc[list(answers.patients)]
        kept[network] = HeldOutAnswers.of(
            answers.y,
            answers.positive,
            origin="out of fold",
            scale=scale,
            part=fold.to_numpy(),
            hospital=other_hospitals(data.clinical.sites, answers.patients, fold),
        )
    return kept


def _are_open(experiment: Experiment, fits: Sequence[Fit]) -> bool:
    """Whether all of these fits are finished, and nothing keeps their answers sealed."""
    run = experiment.output
    return not sealing.unread_sentence(run) and all(fit.finished(run) for fit in fits)


def _answering(rows: pd.DataFrame) -> list[NetworkName]:
    """The networks that answer somebody."""
    answering = networks_in(rows)
    return [name for name in NETWORKS if name in answering]


def _fits(experiment: Experiment, data: ExperimentData, target: str, method: str) -> Sequence[Fit]:
    return [f for f in fits_of(experiment, data) if (f.target, f.method) == (target, method)]


def _rows(experiment: Experiment, fits: Sequence[Fit], *, calibrated: bool) -> pd.DataFrame:
    """The test patients of some fits."""

    def parts() -> Iterator[pd.DataFrame]:
        for fit in fits:
            place = fit.folder(experiment.output)
            rows = read_predictions(place / PREDICTIONS)
            if calibrated:
                validation = read_predictions(place / VALIDATION)
                rows = as_calibrated(with_calibrated(rows, validation, experiment.calibration))
            yield rows

    return pd.concat(list(parts()), ignore_index=True)
