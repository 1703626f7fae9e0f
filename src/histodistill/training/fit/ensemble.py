"""A model of several members: each stops on another part of the training patients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.cohort import Fold, Target, site_preserved_folds, stratified_folds
from histodistill.errors import InputError
from histodistill.evaluation import ThresholdRule
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment
from histodistill.inference import Member, Probabilities
from histodistill.model import NetworkName
from histodistill.training.fit.fitted_model import FittedModel, fit_model, thresholds_for
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
    """Train a method on a fold: one model, or ``training.members`` of them.

    With several, the training and the validation patients of the fold are divided anew into as
    many parts. Each model stops on one part and trains on the others, with transforms of its
    own, so that together they learn from all patients but those of the test.

    Args:
        experiment: The experiment.
        method: One of its methods.
        inputs: The fold's data.
        seed: Seed.
        folder: Gets the training curves of every model.
        on_epoch: Called after every epoch.
        teachers: Folder of teachers that are trained first.
    """
    target, members = experiment.targets[inputs.target], method.training.members
    if members == 1:
        model = yield from fit_model.steps(
            method, target, inputs, seed, folder, on_epoch, teachers=teachers
        )
        patients = readable(model.prepared, inputs.fold.validation)
        return FittedEnsemble((model,), tuple(patients), model.answer(patients))
    parts = list(_parts(experiment, inputs, members))
    prepared = partial(
        prepare_fold,
        experiment,
        inputs.data,
        inputs.target,
        scaled_genes=inputs.scaled_genes,
    )
    fits = []
    for index, part in enumerate(parts):
        own, name = inputs.part(part, prepared), f"member-{index}-of-{members}"
        fits.append(
            fit_model.steps(
                method, target, own, seed, folder / name, on_epoch, teachers=teachers / name
            )
        )
    models = yield from side_by_side(fits)
    return _together(models, parts, inputs.labels, target, method.training.threshold)


def _together(
    models: Sequence[FittedModel],
    parts: Sequence[Fold],
    labels: pd.Series[int],
    target: Target,
    rule: ThresholdRule,
) -> FittedEnsemble:
    """The members as one, with thresholds from the answers of each to its validation part."""
    answers, held_out = [], []
    for model, part in zip(models, parts, strict=True):
        patients = readable(model.prepared, part.validation)
        answers.append(model.answer(patients))
        held_out += patients
    joined = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
    known = np.asarray(labels.loc[held_out], dtype=np.int64)
    thresholds = thresholds_for(target, joined, known, rule)
    members = (replace(m, member=replace(m.member, thresholds=thresholds)) for m in models)
    return FittedEnsemble(tuple(members), tuple(held_out), joined)


def _parts(experiment: Experiment, inputs: FoldData, members: int) -> Iterator[Fold]:
    """The fold with another validation part for each member; nobody of its test in any.

    Where the experiment keeps hospitals apart, so do the parts.
    """
    fold, splits = inputs.fold, experiment.splits
    labels = inputs.labels.loc[sorted([*fold.train, *fold.validation])]
    sites = inputs.data.clinical.sites.reindex(labels.index)
    try:
        if splits.scheme == "site":
            parts = site_preserved_folds(labels, sites, members, seed=splits.seed)
        else:
            parts = stratified_folds(labels, members, seed=splits.seed)
    except InputError as error:
        told = f"`training.members: {members}` divides the training patients like folds"
        raise InputError(*(f"{told}: {problem}" for problem in error.problems)) from error
    for part in parts:
        train = tuple(pd.Index(labels.index).difference(list(part.test)))
        yield replace(fold, train=train, validation=part.test)
