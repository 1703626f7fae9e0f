"""One method, one fold, one seed: a trained model of each target, without thresholds yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from histodistill.cohort import Target
from histodistill.computing.device import resolve_device
from histodistill.experiment.methods import MethodSettings
from histodistill.inference import Member, Probabilities, probabilities
from histodistill.preparation import PreparedPatients
from histodistill.training.fit.joint_training import Trained, require_somebody, train_stage
from histodistill.training.fit.learnt_expression import learnt_expression
from histodistill.training.fit.teachers import train_offline
from histodistill.training.fit.trainings import Steps, Stepwise
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.lesson import lesson_of
from histodistill.training.fold.reading import prepare, programmes_seconds, readable, transforms_of
from histodistill.training.loop.epoch import OnEpoch


@dataclass(frozen=True)
class FittedModel:
    """A trained model and the patients as it reads them.

    Attributes:
        member: Networks and transforms.
        prepared: All patients of the experiment.
        device: Where it computes.
        seconds: Time that its training took, that of finished teachers and of fitting the
            programmes included.
        best_figure: The monitored validation figure, a loss with its sign changed: more is
            better.
    """

    member: Member
    prepared: PreparedPatients
    device: torch.device
    seconds: float
    best_figure: float

    def answer(self, patients: Sequence[str]) -> Probabilities:
        """Class probabilities [n, C] of each network, NaN where it cannot answer."""
        return probabilities(self.member.networks, self.prepared, patients, self.device)


@Stepwise
def fit_model(
    method: MethodSettings,
    target: Target,
    inputs: FoldData,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    *,
    teachers: Path | None = None,
) -> Steps[FittedModel]:
    """:func:`fit_models` for one target."""
    models = yield from fit_models.steps(
        method, (target,), inputs, seed, folder, on_epoch, teachers=teachers
    )
    return models[target.name]


@Stepwise
def fit_models(
    method: MethodSettings,
    targets: Sequence[Target],
    inputs: FoldData,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    *,
    teachers: Path | None = None,
) -> Steps[dict[str, FittedModel]]:
    """Train on a fold's training patients, or go on where an interrupted training stopped.

    Args:
        method: Method.
        targets: The targets that are wanted, of those that the method learns on this fold.
        inputs: The fold's data.
        seed: Seed; with the fold it decides weights, sampling and dropout.
        folder: Gets the training curves and, until training is finished, a checkpoint.
        on_epoch: Called after every epoch, but those of teachers that are trained first.
        teachers: Folder of teachers that are trained first, which methods of the same
            experiment share; by default a folder below the model's own.

    Returns:
        A model for each target, by its name. Those of targets that were learnt together share
        what is before the last layers, and time.
    """
    prepared = prepare(method, inputs)
    if inputs.fold.test:
        require_somebody(method, inputs, {"test": readable(prepared, inputs.fold.test)})
    if method.taught_offline:
        store = teachers or folder / "teachers"
        trained = yield from train_offline.steps(
            method, inputs, seed, folder, store=store, on_epoch=on_epoch
        )
    else:
        trained = yield from train_stage.steps(
            method, prepared, inputs, seed, folder, on_epoch=on_epoch
        )
    return {
        target.name: _of_target(method, target, inputs, prepared, trained) for target in targets
    }


def _of_target(
    method: MethodSettings,
    target: Target,
    inputs: FoldData,
    prepared: PreparedPatients,
    trained: Trained,
) -> FittedModel:
    """The model of one target; thresholds are chosen for all members of an ensemble together."""
    device = resolve_device(method.training.device)
    networks = trained.networks.of_target(lesson_of(method, inputs).place(target.name))
    expression = learnt_expression(method, networks, prepared, inputs, device)
    transforms = replace(transforms_of(method, inputs), expression=expression)
    member = Member(networks, transforms, thresholds={})
    seconds = trained.seconds + programmes_seconds(method, inputs)
    return FittedModel(member, prepared, device, seconds, trained.best_figure)
