"""The parts that the members of a model stop on, and folds that have too few patients for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from histodistill.cohort import Fold, site_preserved_folds, stratified_folds
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.experiment.splits import SplitSettings


def member_parts(
    splits: SplitSettings,
    strata: pd.Series[int],
    sites: pd.Series[str],
    fold: Fold,
    members: int,
    classes: Sequence[str] = (),
) -> list[Fold]:
    """The fold with another validation part for each member; nobody of its test in any.

    Where the experiment keeps hospitals apart, so do the parts.

    Args:
        splits: How the experiment divides its patients.
        strata: What they are divided by, such as the label: a class index, by patient.
        sites: The hospital of each.
        fold: Whose training and validation patients are divided anew.
        members: Into how many parts.
        classes: Names of the strata, for messages.

    Raises:
        InputError: A class has too few patients for so many parts, or there are too few hospitals.
    """
    labels = strata.loc[sorted([*fold.train, *fold.validation])]
    try:
        if splits.scheme == "site":
            own = sites.reindex(labels.index)
            parts = site_preserved_folds(labels, own, members, seed=splits.seed)
        else:
            parts = stratified_folds(labels, members, seed=splits.seed, classes=classes)
    except InputError as error:
        told = f"`training.members: {members}` divides the training patients like folds"
        remedy = "Set fewer `members`; 1 trains a single model, which needs no parts."
        raise InputError(*(f"{told}: {each} {remedy}" for each in error.problems)) from error
    everybody = pd.Index(labels.index)
    return [
        replace(fold, train=tuple(everybody.difference(list(part.test))), validation=part.test)
        for part in parts
    ]


def member_problems(
    experiment: Experiment, data: ExperimentData, folds: Mapping[str, Sequence[Fold]]
) -> Iterator[str]:
    """Methods that a cross-validation will refuse to train on some of its folds, in sentences.

    Args:
        experiment: The experiment.
        data: Its inputs.
        folds: Folds of each target.
    """
    asking: defaultdict[int, list[str]] = defaultdict(list)
    for name, method in experiment.methods.items():
        if method.training.members > 1:
            asking[method.training.members].append(name)
    for target, own in folds.items():
        for members, methods in asking.items():
            refused = _refused(experiment, data, target, own, members)
            if refused:
                yield (
                    f"target {target}: {', '.join(methods)} cannot be trained on "
                    f"{_named(list(refused))}: {next(iter(refused.values()))} All else is trained "
                    "all the same; `train` divides all patients, who are more"
                )


def _refused(
    experiment: Experiment, data: ExperimentData, target: str, folds: Sequence[Fold], members: int
) -> dict[Fold, str]:
    """The folds that cannot be divided, and why."""
    labels, classes = data.labels(target), experiment.targets[target].classes
    refused = {}
    for fold in folds:
        try:
            member_parts(experiment.splits, labels, data.clinical.sites, fold, members, classes)
        except InputError as error:
            refused[fold] = error.problems[0]
    return refused


def _named(folds: Sequence[Fold]) -> str:
    first = f"repeat {folds[0].repeat} fold {folds[0].index}"
    return first if len(folds) == 1 else f"{first} and {len(folds) - 1} more"
