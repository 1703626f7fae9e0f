"""The model to deploy: one fit on all patients, or the ensemble of a cross-validation."""

from __future__ import annotations

from collections.abc import Sequence

from histodistill.cohort import Fold, site_preserved_folds, stratified_folds
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.info import BundleInfo
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.inference.scope import LEAST_PATIENTS, Scope
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fit.tuning import tuned_method
from histodistill.training.fold.fold_data import prepare_fold
from histodistill.training.folders import MODEL, TEACHERS
from histodistill.training.loop.checkpoint import forget_states
from histodistill.training.loop.epoch import OnEpoch
from histodistill.training.loop.trainer import CHECKPOINT
from histodistill.training.run.bundle_info import bundle_info, learnt_from
from histodistill.training.run.calibrating import (
    calibration_of_final,
    calibration_of_folds,
    require_supported,
)
from histodistill.training.run.crossval import require_calibration
from histodistill.training.run.known_performance import out_of_fold_performance
from histodistill.training.run.planned_fits import Fit, fits_of
from histodistill.training.run.precision import require_fast_precision, with_precision
from histodistill.training.run.run_folder import open_run


def train_final(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    method: str,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Bundle:
    """Train on all labelled patients but a validation part, and keep nobody for a test.

    The validation part stops the training and chooses the thresholds. Its performance on
    new patients is what cross-validation of the same method measured. An interrupted call
    goes on where it stopped.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What to predict.
        method: One of the experiment's methods.
        seed: Seed.
        on_epoch: Called after every epoch.

    Raises:
        InputError: What the audit refuses, and bfloat16 where it is slower than float32.
    """
    folder = experiment.output / "final" / target / method / f"seed-{seed}"
    fits_of(experiment, data)  # whose folds are refused here as everywhere
    experiment = with_precision(experiment)
    fold = final_fold(experiment, data, target)
    require_fast_precision(experiment, [Fit(target, method, seed, fold)])
    with open_run(experiment, data):
        known = {"performance": out_of_fold_performance(experiment, data, target, method)}
        _require_calibration(experiment, data, Fit(target, method, seed, fold))
        inputs = prepare_fold(experiment, data, target, fold)
        # Its folds are not those of the cross-validation, and nor are its teachers.
        place, teachers = folder.parent, experiment.output / "final" / TEACHERS
        settings = tuned_method(experiment, method, inputs, place / "tuning", teachers)
        fitted = fit_ensemble(
            experiment, settings, inputs, seed, folder, on_epoch, teachers=teachers
        )
        info = bundle_info(experiment, inputs, method, settings, seed)
        known = info.provenance | known
        fit = Fit(target, method, seed, fold)
        return Bundle(
            info.model_copy(update={"provenance": known}),
            fitted.members,
            calibration=calibration_of_final(experiment, data, fit, fitted),
            scope=_scope(info, data, (*fold.train, *fold.validation)),
        )


def forget_final(experiment: Experiment, target: str, method: str, seed: int) -> None:
    """Remove the checkpoints of a final training whose bundle is saved."""
    folder = experiment.output / "final" / target / method / f"seed-{seed}"
    forget_states(folder, CHECKPOINT)


def fold_ensemble(experiment: Experiment, data: ExperimentData, target: str, method: str) -> Bundle:
    """All models of a finished cross-validation, to be averaged.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What to predict.
        method: One of the experiment's methods.

    Raises:
        InputError: The cross-validation has not finished.
    """
    place = experiment.output / "fits" / target / method
    fits = [f for f in fits_of(experiment, data) if (f.target, f.method) == (target, method)]
    folders = [fit.folder(experiment.output) / MODEL for fit in fits]
    if not all(fit.finished(experiment.output) for fit in fits):
        raise InputError(
            f"{place}: the cross-validation of {method} for {target} is not finished; run "
            "`histodistill crossval` first"
        )
    own = experiment.methods[method].network.import_paths
    bundles = [Bundle.load(folder, allow=own) for folder in folders]
    first = bundles[0].info
    everybody = {p for fit in fits for p in (*fit.fold.train, *fit.fold.validation)}
    provenance = first.provenance | {
        "ensemble": [str(folder.parent.relative_to(place)) for folder in folders],
        **learnt_from(experiment, data, target, sorted(everybody)),
        "performance": out_of_fold_performance(experiment, data, target, method),
    }
    info = first.model_copy(update={"provenance": provenance})
    calibration = calibration_of_folds(experiment, data, target, method)
    members = tuple(member for bundle in bundles for member in bundle.members)
    scope = _scope(info, data, sorted(everybody))
    return Bundle(info, members, calibration=calibration, scope=scope)


def _scope(info: BundleInfo, data: ExperimentData, patients: Sequence[str]) -> Scope | None:
    """What slides of these patients look like; None where the model reads none, or they are few."""
    if info.features is None or data.bags is None:
        return None
    with_slides = [p for p in patients if p in data.with_slides]
    if len(with_slides) < LEAST_PATIENTS:
        return None
    return Scope.fit(data.bags, with_slides)


def _require_calibration(experiment: Experiment, data: ExperimentData, fit: Fit) -> None:
    """Refuse a calibrator and a policy that the held-out patients are too few for."""
    require_calibration(experiment, [fit])
    held_out = len(fit.fold.validation)
    if experiment.methods[fit.method].training.members > 1:
        held_out += len(fit.fold.train)
    require_supported(experiment, data, fit.target, fit.method, held_out)


def final_fold(experiment: Experiment, data: ExperimentData, target: str) -> Fold:
    """All labelled patients, divided into training and validation; nobody tests.

    Hospitals that the experiment holds out stay out of the final model as well.
    """
    splits = experiment.splits
    labels = data.labels(target)
    sites = data.clinical.sites.reindex(labels.index)
    labels = labels[~sites.isin(splits.external_sites)]
    parts = max(2, round(1 / splits.validation))
    if splits.scheme == "site":
        folds = site_preserved_folds(labels, sites.reindex(labels.index), parts, seed=splits.seed)
    else:
        folds = stratified_folds(labels, parts, seed=splits.seed)
    held_out = folds[0].test
    train = sorted(set(labels.index) - set(held_out))
    return Fold(index=0, repeat=0, train=tuple(train), validation=held_out, test=())
