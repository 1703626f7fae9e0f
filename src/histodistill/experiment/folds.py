"""The folds of an experiment, proven not to leak."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.cohort import (
    Fold,
    check_folds,
    external_fold,
    fold_table,
    read_folds,
    site_preserved_folds,
    stratified_folds,
)
from histodistill.errors import InputError, listed
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.experiment.splits import SplitSettings


@dataclass(frozen=True)
class TargetFolds:
    """Folds of one target.

    Attributes:
        folds: The folds; nobody is in two parts of one.
        notes: What a reader should know of them, in sentences.
        problems: Classes that a training or validation part lacks, in sentences.
    """

    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def folds_for(experiment: Experiment, data: ExperimentData, target: str) -> TargetFolds:
    """Divide the patients whose label is known, and prove that nobody crosses.

    Raises:
        InputError: The patients cannot be divided so, somebody crosses, or a class is missing
            where a network trains or is validated.
    """
    made = divided(experiment, data, target)
    if made.problems:
        raise InputError(*made.problems)
    return made


def divided(experiment: Experiment, data: ExperimentData, target: str) -> TargetFolds:
    """The folds of :func:`folds_for`, with the problems that keep them from being trained on.

    Raises:
        InputError: The patients cannot be divided so, or somebody crosses.
    """
    splits, classes = experiment.splits, experiment.targets[target].classes
    try:
        if splits.scheme == "files":
            made = _given(experiment, data, target)
        else:
            made = TargetFolds(_divided(splits, data, target, classes))
        check_folds(made.folds, sites=data.clinical.sites if splits.scheme == "site" else None)
    except InputError as error:
        raise InputError(*(f"target {target}: {problem}" for problem in error.problems)) from error
    table = fold_table(made.folds, data.labels(target), classes)
    learned = _missing_classes(table, classes, ("train", "validation"))
    tested = _missing_classes(table, classes, ("test",))
    notes = (*made.notes, *(f"{lack}; figures that need it are undefined there" for lack in tested))
    problems = (f"{lack}; use fewer folds or another scheme" for lack in learned)
    return TargetFolds(
        made.folds,
        tuple(f"target {target}: {note}" for note in notes),
        tuple(f"target {target}: {problem}" for problem in problems),
    )


def extra_patients(
    experiment: Experiment, data: ExperimentData, labelled: Collection[str], fold: Fold
) -> list[str]:
    """Patients who are not among those with a label, and may train without leaking.

    Where hospitals are kept apart, those of the parts that are (the test part, and with
    site-preserved folds the validation part as well) are left out, and so are patients whose
    hospital is unknown.
    """
    known = set(labelled)
    extras = [patient for patient in data.patients if patient not in known]
    splits, sites = experiment.splits, data.clinical.sites
    if splits.scheme in ("site", "external"):
        apart = fold.test if splits.scheme == "external" else (*fold.validation, *fold.test)
        # A final model is tested on nobody, and external hospitals stay out of it all the same.
        held_out = {*sites.reindex(list(apart)), *splits.external_sites}
        extras = [p for p in extras if pd.notna(sites[p]) and sites[p] not in held_out]
    return extras


def _missing_classes(
    table: pd.DataFrame, classes: tuple[str, ...], parts: tuple[str, ...]
) -> Iterator[str]:
    """Where a class is missing from one of the parts."""
    for row in table.to_dict("records"):
        for name in classes:
            if row[name] == 0 and row["part"] in parts:
                yield (
                    f"repeat {row['repeat']} fold {row['fold']}: the {row['part']} part has no "
                    f"patient of class {name}"
                )


def _divided(
    splits: SplitSettings, data: ExperimentData, target: str, classes: tuple[str, ...]
) -> tuple[Fold, ...]:
    labels = data.labels(target)
    sites = data.clinical.sites.reindex(labels.index)
    if splits.scheme == "external":
        external = sites.isin(splits.external_sites)
        absent = [site for site in splits.external_sites if site not in set(sites)]
        if absent:
            raise InputError(
                f"splits.external_sites: no labelled patient comes from {listed(absent)}; the "
                f"sites are {listed(sorted(sites.dropna().unique()))}"
            )
        return (
            external_fold(
                labels[~external],
                list(labels.index[external]),
                validation=splits.validation,
                seed=splits.seed,
            ),
        )
    common = {"validation": splits.validation, "repeats": splits.repeats}
    if splits.scheme == "site":
        folds = site_preserved_folds(labels, sites, splits.folds, seed=splits.seed, **common)  # type: ignore[arg-type]
    else:
        folds = stratified_folds(
            labels,
            splits.folds,
            seed=splits.seed,
            classes=classes,
            **common,  # type: ignore[arg-type]
        )
    return tuple(folds)


def _given(experiment: Experiment, data: ExperimentData, target: str) -> TargetFolds:
    directory = Path((experiment.splits.directory or "").replace("{target}", target))
    files = read_folds(
        directory,
        data.labels(target),
        experiment.targets[target].classes,
        known=data.clinical.patients,
    )
    splits = experiment.splits
    if "folds" in splits.model_fields_set and splits.folds != len(files.folds):
        raise InputError(
            f"`splits.folds` is {splits.folds}, and the files in {splits.directory} are "
            f"{len(files.folds)} folds; leave `folds` out, or give another folder"
        )
    return TargetFolds(tuple(files.folds), tuple(files.notes))
