"""Patients whose label is unknown: which of them teach all the same, and what."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pandas as pd

from histodistill.cohort import Fold
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import extra_patients
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment

COLUMNS = ("PATIENT", "target", "method", "lesson")
PROGRAMMES = "what slides show of gene expression"
OTHER_TARGETS = "what is known of other targets (`joint`)"
TERMS = "terms of the loss that need no class (`unlabelled: true`)"


def unlabelled_teachers(
    experiment: Experiment, data: ExperimentData, target: str, folds: Collection[Fold]
) -> pd.DataFrame:
    """Who teaches which method without a label for a target, in one of its folds or more.

    What is learnt of them is between slides and genomics, and who lacks one of both teaches none of
    it; or it is a label of another target that the method learns together with this one.

    Returns:
        Columns ``PATIENT``, ``target``, ``method`` and ``lesson``, in words.
    """
    labelled = data.labels(target).index
    admitted = {p for fold in folds for p in extra_patients(experiment, data, labelled, fold)}
    rows = [
        (patient, target, name, lesson)
        for name, method in experiment.methods.items()
        for lesson, teachers in _lessons(method, data, target)
        for patient in data.patients
        if patient in admitted and patient in teachers
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _lessons(
    method: MethodSettings, data: ExperimentData, target: str
) -> Iterator[tuple[str, Collection[str]]]:
    """What patients without a label for a target may teach a method, and which patients could."""
    network, objective = method.network, method.objective
    paired = data.with_slides & _measured(method, data)
    if network.programmes is not None and network.reads_slides:
        yield PROGRAMMES, paired
    between = objective.between_networks and len(network.networks) > 1
    if method.training.unlabelled and (between or objective.reads_genes):
        yield TERMS, paired
    others = [name for name in method.learnt_with(target) if name != target]
    if others:
        slides = data.with_slides if network.reads_slides else frozenset()
        genes = _measured(method, data) if network.reads_genes else set()
        known = {p for name in others for p in data.labels(name).index}
        yield OTHER_TARGETS, known & (slides | genes)


def _measured(method: MethodSettings, data: ExperimentData) -> set[str]:
    """Patients who have at least one of the blocks of genes that a method reads."""
    blocks = method.network.blocks or tuple(data.genomics)
    return {patient for name in blocks for patient in data.genomics[name].index}


def told(teachers: pd.DataFrame, target: str, n_unlabelled: int) -> Iterator[str]:
    """What a reader should know of a target's patients without a class, in sentences."""
    if not n_unlabelled:
        return
    own = teachers[teachers["target"] == target]
    silent = n_unlabelled - own["PATIENT"].nunique()
    lessons = [
        f"{rows['PATIENT'].nunique()} teach {lesson} to {', '.join(rows['method'].unique())}"
        for lesson, rows in own.groupby("lesson", sort=False)
    ]
    if silent:
        lessons.append(f"{silent} teach nothing")
    yield (
        f"target {target}: {n_unlabelled} patients have no class and are neither tested nor "
        f"counted in any result; {'; '.join(lessons)}"
    )
