"""A model of several members: each stops on another part of the training patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.cohort import Fold, Target
from histodistill.evaluation import ThresholdRule
from histodistill.experiment.member_parts import member_parts
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment
from histodistill.inference import Member, Probabilities
from histodistill.model import NetworkName
from histodistill.training.fit.fitted_model import FittedModel, fit_models
from histodistill.training.fit.fusion_weight import weigh_experts
from histodistill.training.fit.thresholds import thresholds_for
from histodistill.training.fit.trainings import Steps, Stepwise, side_by_side
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.fold.reading import readable
from histodistill.training.loop.epoch import OnEpoch


@dataclass(frozen=True)
class FittedEnsemble:
    """Trained models whose probabilities are averaged; most often there is one.

    Attributes:
        models: The models, at least one.
        held_out: Patients who stopped a model's training and chose the thresholds.
        held_out_answers: What the model that was not trained with them says, [n, C].
    """

    models: tuple[FittedModel, ...]
    held_out: tuple[str, ...]
    held_out_answers: Probabilities

    @property
    def members(self) -> tuple[Member, ...]:
        """What is deployed."""
        return tuple(model.member for model in self.models)

    @property
    def thresholds(self) -> dict[NetworkName, float]:
        """Operating threshold of each network, the same for every member."""
        return dict(self.models[0].member.thresholds)

    @property
    def seconds(self) -> float:
        """Time that all trainings took."""
        return sum(model.seconds for model in self.models)

    def readable(self, patients: Sequence[str]) -> list[str]:
        """Patients who have something that the networks read."""
        return readable(self.models[0].prepared, patients)

    def answer(self, patients: Sequence[str]) -> Probabilities:
        """Class probabilities [n, C] of each network, NaN where it cannot answer."""
        answers = [model.answer(patients) for model in self.models]
        return {name: np.mean([answer[name] for answer in answers], axis=0) for name in answers[0]}


@Stepwise
def fit_ensemble(
    experiment: Experiment,
    method: MethodSettings,
    inputs: FoldData,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    *,
    teachers: Path,
) -> Steps[FittedEnsemble]:
    """:func:`fit_ensembles` for the fold's own target."""
    fitted = yield from fit_ensembles.steps(
        experiment, method, (inputs.target,), inputs, seed, folder, on_epoch, teachers=teachers
    )
    return fitted[inputs.target]


@Stepwise
def fit_ensembles(
    experiment: Experiment,
    method: MethodSettings,
    targets: Sequence[str],
    inputs: FoldData,
    seed: int,
    folder: Path,
    on_epoch: OnEpoch | None = None,
    *,
    teachers: Path,
) -> Steps[dict[str, FittedEnsemble]]:
    """Train a method on a fold: one model, or ``training.members`` of them.

    With several, the training and the validation patients of the fold are divided anew into as
    many parts. Each model stops on one part and trains on the others, with transforms of its
    own, so that together they learn from all patients but those of the test.

    Args:
        experiment: The experiment.
        method: One of its methods.
        targets: The targets that are wanted, of those that the method learns on this fold.
        inputs: The fold's data.
        seed: Seed.
        folder: Gets the training curves of every model.
        on_epoch: Called after every epoch.
        teachers: Folder of teachers that are trained first.

    Returns:
        The models of each target, by its name.
    """
    wanted = [experiment.targets[name] for name in targets]
    if method.training.members == 1:
        fitted = yield from fit_models.steps(
            method, wanted, inputs, seed, folder, on_epoch, teachers=teachers
        )
        every, parts = [fitted], [inputs.fold]
    else:
        parts = _parts(experiment, inputs, method.training.members)
        every = yield from side_by_side(
            [
                fit_models.steps(
                    method, wanted, own, seed, folder / name, on_epoch, teachers=teachers / name
                )
                for name, own in _members(experiment, inputs, parts)
            ]
        )
    rule = method.training.threshold
    return {
        target.name: _together(
            [models[target.name] for models in every],
            parts,
            _labels_for(target.name, inputs),
            target,
            rule,
        )
        for target in wanted
    }


def _parts(experiment: Experiment, inputs: FoldData, members: int) -> list[Fold]:
    """What each member stops on."""
    splits, sites = experiment.splits, inputs.data.clinical.sites
    if inputs.strata is not None:
        return member_parts(splits, inputs.strata, sites, inputs.fold, members)
    classes = experiment.targets[inputs.target].classes
    return member_parts(splits, inputs.labels, sites, inputs.fold, members, classes)


def _members(
    experiment: Experiment, inputs: FoldData, parts: Sequence[Fold]
) -> Iterator[tuple[str, FoldData]]:
    """Name and data of the member that each part stops, prepared once for all methods."""
    prepared = partial(
        prepare_fold,
        experiment,
        inputs.data,
        inputs.target,
        scaled_genes=inputs.scaled_genes,
        strata=inputs.strata,
    )
    for index, part in enumerate(parts):
        yield f"member-{index}-of-{len(parts)}", inputs.part(part, prepared)


def _labels_for(target: str, inputs: FoldData) -> pd.Series[int]:
    """Known class indices of a target, by patient."""
    return inputs.labels if target == inputs.target else inputs.data.labels(target)


def _together(
    models: Sequence[FittedModel],
    parts: Sequence[Fold],
    labels: pd.Series[int],
    target: Target,
    rule: ThresholdRule,
) -> FittedEnsemble:
    """The members as one: what is chosen follows from the answers of each to its validation part.

    These are the weight of a slide beside genes, where the answers of both are added up, and the
    thresholds.
    """
    asked = [
        readable(model.prepared, [p for p in part.validation if p in labels.index])
        for model, part in zip(models, parts, strict=True)
    ]
    answers = [model.answer(patients) for model, patients in zip(models, asked, strict=True)]
    if weigh_experts(models, asked, answers, labels):
        answers = [model.answer(patients) for model, patients in zip(models, asked, strict=True)]
    held_out = [patient for patients in asked for patient in patients]
    joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    known = np.asarray(labels.loc[held_out], dtype=np.int64)
    thresholds = thresholds_for(target, joined, known, rule)
    members = (replace(m, member=replace(m.member, thresholds=thresholds)) for m in models)
    return FittedEnsemble(tuple(members), tuple(held_out), joined)
