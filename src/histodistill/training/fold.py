"""A target's data in one fold, with everything fitted on its training patients."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from histodistill.cohort import Fold
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import extra_patients
from histodistill.experiment.settings import BlockSettings, Experiment
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.preparation import Transforms, fit_transforms


@dataclass(frozen=True)
class FoldData:
    """A target's data in one fold, with everything fitted on its training patients.

    Attributes:
        target: The target's name.
        fold: Who trains, validates and tests.
        labels: Known class indices, by patient.
        transforms: Fitted on the training patients alone.
        extras: Patients without a label who may train as well.
        data: The experiment's inputs.
    """

    target: str
    fold: Fold
    labels: pd.Series[int]
    transforms: Transforms
    extras: tuple[str, ...]
    data: ExperimentData


def prepare_fold(experiment: Experiment, data: ExperimentData, target: str, fold: Fold) -> FoldData:
    """Fit gene selection, imputation and scaling on the training patients of a fold."""
    labels = data.labels(target)
    transforms = fit_transforms(
        fold.train,
        bags=data.bags,
        genomics=data.genomics,
        preprocessors={n: preprocessor(n, block) for n, block in experiment.genomics.items()},
        standardise=experiment.features is not None and experiment.features.standardise,
        labels=labels,
        survival=data.clinical.survival,
    )
    extras = extra_patients(experiment, data, target, fold)
    return FoldData(target, fold, labels, transforms, tuple(extras), data)


def preprocessor(name: str, block: BlockSettings) -> GenomicPreprocessor:
    """An unfitted preprocessor as a block's settings say."""
    chosen = block.selection
    return GenomicPreprocessor(
        selection=SelectionSettings(
            method=chosen.method,
            n_genes=chosen.n_genes,
            genes=chosen.genes,
            exclude=chosen.exclude,
        ),
        impute=block.impute,
        scale=block.scale,
        clip=block.clip,
        block=name,
    )
