"""One stage of a training: networks that are trained together on a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histodistill.computing.device import resolve_device
from histodistill.errors import InputError
from histodistill.experiment.methods import MethodSettings
from histodistill.model import Networks
from histodistill.preparation import PreparedPatients, Transforms
from histodistill.training.fit.fold_data import FoldData
from histodistill.training.fit.trainings import Steps, Stepwise, Training
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
    n_classes: int,
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
        n_classes: Number of classes.
        seed: Seed; with the fold it decides weights, sampling and dropout.
        folder: Gets the training curves, and a checkpoint that is left to the caller.
        teachers: Finished teachers of these networks.
        on_epoch: Called after every epoch.
    """
    own_seed = derived_seed(seed, inputs.target, inputs.fold.repeat, inputs.fold.index)
    extras = inputs.extras if method.training.unlabelled else ()
    training = readable(prepared, [*inputs.fold.train, *extras])
    validation = readable(prepared, inputs.fold.validation)
    require_somebody(method, inputs, {"training": training, "validation": validation})
    trainer = Trainer(
        build_networks(method, prepared.feature_width, prepared.blocks, n_classes, own_seed),
        method,
        prepared,
        training=training,
        validation=validation,
        seed=own_seed,
        device=resolve_device(method.training.device),
        teachers=teachers,
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


def prepare(method: MethodSettings, inputs: FoldData) -> PreparedPatients:
    """The patients with the modalities that a method's training reads.

    Packed bags go to the GPU that trains, where they fit.
    """
    bags = inputs.data.bags if method.network.reads_slides else None
    if bags is not None:
        bags = bags.to(resolve_device(method.training.device))
    reads_genes = method.network.reads_genes or method.objective.reads_genes
    blocks = blocks_read(method, inputs) if reads_genes else ()
    labels = {str(patient): int(label) for patient, label in inputs.labels.items()}
    return PreparedPatients(
        bags,
        {name: inputs.data.genomics[name] for name in blocks},
        _transforms(method, inputs, blocks),
        method.network.token_size,
        labels,
    )


def transforms_of(method: MethodSettings, inputs: FoldData) -> Transforms:
    """The transforms that the trained networks need, those of the training's terms left out."""
    blocks = blocks_read(method, inputs) if method.network.reads_genes else ()
    return _transforms(method, inputs, blocks)


def _transforms(method: MethodSettings, inputs: FoldData, blocks: Sequence[str]) -> Transforms:
    """The fold's transforms, with the given blocks of genes."""
    scaler = inputs.transforms.scaler if method.network.reads_slides else None
    kept = {name: inputs.transforms.blocks[name] for name in blocks}
    power, n_programmes = method.network.gene_weighting, method.network.programmes
    weights = inputs.gene_weights(blocks, power) if power and blocks else {}
    if n_programmes is None or not method.network.reads_slides:
        return Transforms(scaler, kept, gene_weights=weights)
    programmes = inputs.programmes(n_programmes, blocks_read(method, inputs))
    return Transforms(None, kept, programmes, weights)


def programmes_seconds(method: MethodSettings, inputs: FoldData) -> float:
    """What fitting the programmes of a prepared method took; 0 where it reads none."""
    n_programmes = method.network.programmes
    if n_programmes is None or not method.network.reads_slides:
        return 0.0
    return inputs.programmes_seconds(n_programmes, blocks_read(method, inputs))


def blocks_read(method: MethodSettings, inputs: FoldData) -> Sequence[str]:
    """The blocks of genes that the method names, or all."""
    return method.network.blocks or tuple(inputs.data.genomics)


def readable(prepared: PreparedPatients, patients: Sequence[str]) -> list[str]:
    """Patients who have something that the networks read."""
    return [p for p in patients if prepared.has_slides(p) or prepared.has_genes(p)]
