"""The model to deploy: one fit on all patients, or the ensemble of a cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from histodistill import sealing
from histodistill.claims import claimed
from histodistill.cohort import Fold, joint_labels, site_preserved_folds, stratified_folds
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.info import BundleInfo
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.foreign_parts import require_foreign_methods
from histodistill.experiment.settings import Experiment
from histodistill.inference.scope import LEAST_PATIENTS, Scope
from histodistill.training.fit.ensemble import fit_ensembles
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
from histodistill.training.run.planned_fits import Fit, fits_of, folds_of
from histodistill.training.run.precision import require_fast_precision, with_precision
from histodistill.training.run.run_folder import begin_run


def train_final(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    method: str,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> Bundle:
    """:func:`train_panel` for one target."""
    return train_panel(experiment, data, [target], method, seed=seed, on_epoch=on_epoch)[target]


def train_panel(
    experiment: Experiment,
    data: ExperimentData,
    targets: Sequence[str],
    method: str,
    *,
    seed: int,
    on_epoch: OnEpoch | None = None,
) -> dict[str, Bundle]:
    """Train on all labelled patients but a validation part, and keep nobody for a test.

    The validation part stops the training and chooses the thresholds. Its performance on
    new patients is what cross-validation of the same method measured. An interrupted call
    goes on where it stopped. Targets that the method learns together are trained once.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        targets: What to predict.
        method: One of the experiment's methods.
        seed: Seed.
        on_epoch: Called after every epoch.

    Returns:
        A bundle for each target.

    Raises:
        InputError: What the audit refuses, and bfloat16 where it is slower than float32.
    """
    fits = fits_of(experiment, data)  # whose folds are refused here as everywhere
    require_foreign_methods(experiment, data, folds_of(fits), [method])
    experiment = with_precision(experiment)
    learnt_with = experiment.methods[method].learnt_with
    lessons = dict.fromkeys(learnt_with(target) for target in targets)
    bundles: dict[str, Bundle] = {}
    first = Fit(targets[0], method, seed, final_fold(experiment, data, targets[0]))
    require_fast_precision(experiment, [first])
    begin_run(experiment, data)
    for together in lessons:
        wanted = [target for target in targets if target in together]
        with _claimed(_folder(experiment, together, method, seed)):
            bundles |= _trained(experiment, data, together, wanted, method, seed, on_epoch)
    return {target: bundles[target] for target in targets}


def _trained(
    experiment: Experiment,
    data: ExperimentData,
    together: tuple[str, ...],
    wanted: Sequence[str],
    method: str,
    seed: int,
    on_epoch: OnEpoch | None,
) -> dict[str, Bundle]:
    """The bundles of some of the targets that one training learns."""
    performance = {t: out_of_fold_performance(experiment, data, t, method) for t in wanted}
    strata = _strata(experiment, data, together, experiment.methods[method].training.members)
    fold = final_fold(experiment, data, together[0], strata)
    for target in wanted:
        _require_calibration(experiment, data, Fit(target, method, seed, fold))
    inputs = prepare_fold(experiment, data, together[0], fold, strata=strata)
    # Its folds are not those of the cross-validation, and nor are its teachers.
    folder = _folder(experiment, together, method, seed)
    place, teachers = folder.parent, experiment.output / "final" / TEACHERS
    settings = tuned_method(experiment, method, inputs, place / "tuning", teachers)
    fitted = fit_ensembles(
        experiment, settings, wanted, inputs, seed, folder, on_epoch, teachers=teachers
    )
    bundles = {}
    for target in wanted:
        info = bundle_info(experiment, inputs, method, settings, seed, target)
        known = info.provenance | {"performance": performance[target]}
        fit = Fit(target, method, seed, fold)
        bundles[target] = Bundle(
            info.model_copy(update={"provenance": known}),
            fitted[target].members,
            calibration=calibration_of_final(experiment, data, fit, fitted[target]),
            scope=_scope(info, data, (*fold.train, *fold.validation)),
        )
    return bundles


def _folder(experiment: Experiment, together: Sequence[str], method: str, seed: int) -> Path:
    return experiment.output / "final" / "+".join(together) / method / f"seed-{seed}"


def _strata(
    experiment: Experiment, data: ExperimentData, together: Sequence[str], members: int
) -> pd.Series[int] | None:
    """What divides the patients of several targets, so that all classes are as frequent."""
    if len(together) == 1:
        return None
    table = pd.DataFrame({target: data.labels(target) for target in together})
    return joint_labels(table, least=max(members, _n_parts(experiment)))


def forget_final(experiment: Experiment, target: str, method: str, seed: int) -> None:
    """Remove the checkpoints of a final training whose bundle is saved."""
    together = experiment.methods[method].learnt_with(target)
    forget_states(_folder(experiment, together, method, seed), CHECKPOINT)


def fold_ensemble(experiment: Experiment, data: ExperimentData, target: str, method: str) -> Bundle:
    """All models of a finished cross-validation, to be averaged.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What to predict.
        method: One of the experiment's methods.

    Raises:
        InputError: The cross-validation has not finished, or its answers, which calibrate, are
            sealed.
    """
    if kept := sealing.unread_sentence(experiment.output):
        raise InputError(kept)
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
    held_out = fit.fold.validation
    if experiment.methods[fit.method].training.members > 1:
        held_out = (*fit.fold.train, *held_out)
    require_supported(experiment, data, fit, held_out)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Be the only process that trains this.

    Raises:
        InputError: Another one does.
    """
    with claimed(folder) as mine:
        if not mine:
            raise InputError(f"{folder}: another process is training this; wait for it")
        yield


def _n_parts(experiment: Experiment) -> int:
    """Parts of which one validates a final model."""
    return max(2, round(1 / experiment.splits.validation))


def final_fold(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    strata: pd.Series[int] | None = None,
) -> Fold:
    """All labelled patients, divided into training and validation; nobody tests.

    Hospitals that the experiment holds out stay out of the final model as well.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What is predicted.
        strata: What divides the patients of targets that are learnt together; by default the
            target's labels.
    """
    splits = experiment.splits
    labels = data.labels(target) if strata is None else strata
    sites = data.clinical.sites.reindex(labels.index)
    labels = labels[~sites.isin(splits.external_sites)]
    parts = _n_parts(experiment)
    if splits.scheme == "site":
        folds = site_preserved_folds(labels, sites.reindex(labels.index), parts, seed=splits.seed)
    else:
        folds = stratified_folds(labels, parts, seed=splits.seed)
    held_out = folds[0].test
    train = sorted(set(labels.index) - set(held_out))
    return Fold(index=0, repeat=0, train=tuple(train), validation=held_out, test=())
