"""A target's data in one fold, with everything fitted on its training patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from histodistill.cohort import Fold
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import extra_patients
from histodistill.experiment.inputs import BlockSettings
from histodistill.experiment.settings import Experiment
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.preparation import ExpressionProgrammes, Transforms, fit_transforms
from histodistill.preparation.patients import UNKNOWN
from histodistill.preparation.programmes import mean_patches


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
    _programmes: dict[tuple[object, ...], ExpressionProgrammes] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def programmes(self, n_programmes: int, blocks: Sequence[str]) -> ExpressionProgrammes:
        """Expression programmes of some blocks, fitted once.

        Patients without a label teach as well.

        Args:
            n_programmes: How many.
            blocks: Blocks of genes that they are made of.

        Raises:
            InputError: There are no slides, no genes, or too few patients with both.
        """
        key = (n_programmes, *blocks)
        if key not in self._programmes:
            self._programmes[key] = self._fit_programmes(blocks, n_programmes)
        return self._programmes[key]

    def _fit_programmes(self, blocks: Sequence[str], n_programmes: int) -> ExpressionProgrammes:
        bags = self.data.bags
        measured = {p for name in blocks for p in self.data.genomics[name].index}
        if bags is None or not measured:
            raise InputError("expression programmes need slides and genomics: give both")
        everybody = [*self.fold.train, *self.extras]
        paired = [p for p in everybody if p in measured and p in self.data.with_slides]
        scaled = []
        for name in blocks:
            table, block = self.data.genomics[name], self.transforms.blocks[name]
            values = pd.DataFrame(block.transform(table), index=table.index)
            # A block that a patient lacks counts as the mean of every gene.
            scaled.append(values.reindex(paired).fillna(0.0).to_numpy(dtype="float64"))
        means = mean_patches(bags, paired)
        labels = np.array([self.labels.get(p, UNKNOWN) for p in paired], dtype=np.int64)
        return ExpressionProgrammes.fit(means, np.hstack(scaled), labels, n_programmes)


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
