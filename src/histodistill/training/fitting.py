"""One method, one fold, one seed: train, then choose thresholds on the validation patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from histodistill.deploy.bundle import Member
from histodistill.deploy.inference import Probabilities, probabilities
from histodistill.evaluation import ThresholdRule, choose_threshold
from histodistill.experiment.settings import MethodSettings, TargetSettings
from histodistill.model import NetworkName
from histodistill.model.device import resolve_device
from histodistill.preparation import PreparedPatients, Transforms
from histodistill.training.fold import FoldData
from histodistill.training.seeds import derived_seed
from histodistill.training.trainer import OnEpoch, Trainer, build_networks


@dataclass(frozen=True)
class FittedModel:
    """A trained model and the patients as it reads them.

    Attributes:
        member: Networks, transforms and thresholds.
        prepared: All patients of the experiment.
        device: Where it computes.
    """

    member: Member
    prepared: PreparedPatients
    device: torch.device

    def answer(self, patients: Sequence[str]) -> Probabilities:
        """Class probabilities [n, C] of each network, NaN where it cannot answer."""
        return probabilities(self.member.networks, self.prepared, patients, self.device)


def fit_model(
    method: MethodSettings,
    target: TargetSettings,
    inputs: FoldData,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
) -> FittedModel:
    """Train on a fold's training patients, or go on where an interrupted training stopped.

    Args:
        method: Method.
        target: Classes.
        inputs: The fold's data.
        seed: Seed; with the fold it decides weights, sampling and dropout.
        folder: Gets the training curves and, until training is finished, a checkpoint.
        on_epoch: Called after every epoch.
    """
    device = resolve_device(method.training.device)
    prepared, transforms = _prepare(method, inputs)
    own_seed = derived_seed(seed, inputs.target, inputs.fold.repeat, inputs.fold.index)
    networks = build_networks(
        method, prepared.feature_width, prepared.blocks, len(target.classes), own_seed
    )
    extras = inputs.extras if method.training.unlabelled else ()
    validation = readable(prepared, inputs.fold.validation)
    trainer = Trainer(
        networks,
        method,
        prepared,
        training=readable(prepared, [*inputs.fold.train, *extras]),
        validation=validation,
        seed=own_seed,
        device=device,
    )
    trainer.fit(folder, on_epoch)
    networks = trainer.networks.eval()
    answers = probabilities(networks, prepared, validation, device)
    labels = prepared.labels(validation).numpy()
    thresholds = thresholds_for(target, answers, labels, method.training.threshold)
    return FittedModel(Member(networks, transforms, thresholds), prepared, device)


def readable(prepared: PreparedPatients, patients: Sequence[str]) -> list[str]:
    """Patients who have something that the networks read."""
    return [p for p in patients if prepared.has_slides(p) or prepared.has_genes(p)]


def thresholds_for(
    target: TargetSettings, answers: Probabilities, labels: NDArray[np.int64], rule: ThresholdRule
) -> dict[NetworkName, float]:
    """Operating threshold of each network on validation patients; none beyond two classes."""
    if target.positive is None:
        return {}
    positive = target.classes.index(target.positive)
    thresholds: dict[NetworkName, float] = {}
    for name, answer in answers.items():
        able = ~np.isnan(answer[:, positive])
        cases = labels[able] == positive
        thresholds[name] = choose_threshold(cases, answer[able, positive], rule)
    return thresholds


def _blocks_read(method: MethodSettings, inputs: FoldData) -> Sequence[str]:
    if not method.network.reads_genes:
        return ()
    return method.network.blocks or tuple(inputs.data.genomics)


def _prepare(method: MethodSettings, inputs: FoldData) -> tuple[PreparedPatients, Transforms]:
    """The patients with the modalities that the method reads, and the transforms of those."""
    bags = inputs.data.bags if method.network.reads_slides else None
    genomics = {n: inputs.data.genomics[n] for n in _blocks_read(method, inputs)}
    transforms = Transforms(
        inputs.transforms.scaler if bags else None,
        {name: inputs.transforms.blocks[name] for name in genomics},
    )
    labels = {str(patient): int(label) for patient, label in inputs.labels.items()}
    return (
        PreparedPatients(bags, genomics, transforms, method.network.token_size, labels),
        transforms,
    )
