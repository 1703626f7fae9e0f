"""One stage of a training: networks that are trained together on a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histodistill.computing.device import resolve_device
from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings
from histodistill.model import Networks
from histodistill.model.heads import n_classes_of
from histodistill.preparation import PreparedPatients
from histodistill.training.fit.trainings import Steps, Stepwise, Training
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.fold.lesson import lesson_of
from histodistill.training.fold.reading import readable
from histodistill.training.loop.epoch import OnEpoch
from histodistill.training.loop.frozen_teachers import FrozenTeachers
from histodistill.training.loop.initial_networks import build_networks
from histodistill.training.loop.seeds import derived_seed
from histodistill.training.loop.trainer import Trainer


@dataclass(frozen=True)
class Trained:
    """Networks as they were in their best epoch.

    Attributes:
        networks: In eval mode.
        seconds: Time that their training took, that of their finished teachers included.
        best_figure: The monitored validation figure, a loss with its sign changed: more is
            better.
    """

    networks: Networks
    seconds: float
    best_figure: float


@Stepwise
def train_stage(
    method: MethodSettings,
    prepared: PreparedPatients,
    inputs: FoldData,
    seed: int,
    folder: Path,
    *,
    teachers: FrozenTeachers | None = None,
    on_epoch: OnEpoch | None = None,
) -> Steps[Trained]:
    """Train networks together, or go on where an interrupted training stopped.

    Args:
        method: Which networks, and how.
        prepared: The patients as these networks read them.
        inputs: The fold's data.
        seed: Seed; with the fold it decides weights, sampling and dropout.
        folder: Gets the training curves, and a checkpoint that is left to the caller.
        teachers: Finished teachers of these networks.
        on_epoch: Called after every epoch.
    """
    own_seed = derived_seed(seed, inputs.target, inputs.fold.repeat, inputs.fold.index)
    # Without a label of this target, they may have one of another that is learnt with it.
    everybody = method.training.unlabelled
    extras = [p for p in inputs.extras if everybody or prepared.has_label(p)]
    heads = lesson_of(method, inputs).heads
    training = readable(prepared, [*inputs.fold.train, *extras])
    validation = readable(prepared, inputs.fold.validation)
    require_somebody(method, inputs, {"training": training, "validation": validation})
    trainer = Trainer(
        build_networks(
            method, prepared.feature_width, prepared.blocks, n_classes_of(heads), own_seed
        ),
        method,
        prepared,
        training=training,
        validation=validation,
        seed=own_seed,
        device=resolve_device(method.training.device),
        teachers=teachers,
        heads=heads,
    )
    yield [Training(trainer, folder, on_epoch)]
    return Trained(trainer.networks.eval(), trainer.seconds, trainer.best_figure)


def require_somebody(
    method: MethodSettings, inputs: FoldData, parts: Mapping[str, Sequence[str]]
) -> None:
    """Refuse a fold in which nobody of a part has what the networks read."""
    lacking = [part for part, patients in parts.items() if not patients]
    if lacking:
        raise InputError(
            f"{inputs.target}, fold {inputs.fold.index}: no {' and no '.join(lacking)} patient "
            f"has what {', '.join(method.network.networks)} reads; divide the patients otherwise"
        )
