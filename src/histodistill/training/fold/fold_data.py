"""A target's data in one fold, with everything fitted on its training patients."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.cohort import Fold, Target
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import extra_patients
from histodistill.experiment.inputs import BlockSettings
from histodistill.experiment.settings import Experiment
from histodistill.genomics import GenomicPreprocessor
from histodistill.genomics.preprocessing import Floats
from histodistill.preparation import ExpressionProgrammes, Transforms, fit_transforms
from histodistill.preparation.gene_weights import gene_weights
from histodistill.preparation.patients import UNKNOWN
from histodistill.preparation.programmes import fit_programmes
from histodistill.training.fold.bags_in_use import BagsInUse
from histodistill.training.fold.scaled_genes import ScaledGenes


@dataclass(frozen=True)
class Paired:
    """Patients with slides and genes.

    Attributes:
        patients: Who they are, n of them.
        genes: Their scaled genes, blocks side by side, [n, K]; a block that one lacks is 0.
        groups: The hospital of each; who has none known is a group of their own.
    """

    patients: list[str]
    genes: NDArray[np.float64]
    groups: list[str]


@dataclass(frozen=True)
class FoldData:
    """A target's data in one fold, with everything fitted on its training patients.

    Attributes:
        target: The target's name; of targets that are deployed together, that of the first.
        fold: Who trains, validates and tests.
        labels: Known class indices, by patient.
        transforms: Fitted on the training patients alone.
        extras: Patients without a label who may train as well.
        data: The experiment's inputs.
        targets: All targets of the experiment.
        strata: What the patients are divided by, where it is not the labels: combinations of the
            classes of targets that are deployed together.
        scaled_genes: Keeps what the transforms make of genes; the folds of a run share it.
        programme_bags: The bags as this fold's programmes read them, while a training uses them.
    """

    target: str
    fold: Fold
    labels: pd.Series[int]
    transforms: Transforms
    extras: tuple[str, ...]
    data: ExperimentData
    targets: Mapping[str, Target]
    strata: pd.Series[int] | None = None
    scaled_genes: ScaledGenes = field(default_factory=ScaledGenes, compare=False, repr=False)
    programme_bags: BagsInUse = field(
        default_factory=BagsInUse, init=False, compare=False, repr=False
    )
    _programmes: dict[tuple[object, ...], ExpressionProgrammes] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _seconds: dict[tuple[object, ...], float] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _weights: dict[tuple[object, ...], dict[str, Floats]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )
    _parts: dict[Fold, FoldData] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def part(self, fold: Fold, prepare: Callable[[Fold], FoldData]) -> FoldData:
        """The data of a part of this fold, prepared once for all methods and seeds."""
        if fold not in self._parts:
            self._parts[fold] = prepare(fold)
        return self._parts[fold]

    def programmes(
        self,
        n_programmes: int,
        blocks: Sequence[str],
        targets: Sequence[str] = (),
        n_prototypes: int | None = None,
        *,
        proportions: bool = False,
    ) -> ExpressionProgrammes:
        """Expression programmes of some blocks, fitted once.

        Patients without a label teach as well.

        Args:
            n_programmes: How many.
            blocks: Blocks of genes that they are made of.
            targets: Targets whose labels weigh the genes; by default the fold's own.
            n_prototypes: Prototypes of tissue that are read beside the features.
            proportions: Whether detectors of proportions are read as well.

        Raises:
            InputError: There are no slides, no genes, or too few patients with both.
        """
        key = (n_programmes, tuple(blocks), tuple(targets), n_prototypes, proportions)
        if key not in self._programmes:
            started = time.process_time()
            self._programmes[key] = self._fit_programmes(*key)
            self._seconds[key] = time.process_time() - started
        return self._programmes[key]

    def programmes_seconds(
        self,
        n_programmes: int,
        blocks: Sequence[str],
        targets: Sequence[str] = (),
        n_prototypes: int | None = None,
        *,
        proportions: bool = False,
    ) -> float:
        """Time of the processor that fitting these programmes took; they are fitted by now."""
        key = (n_programmes, tuple(blocks), tuple(targets), n_prototypes, proportions)
        return self._seconds[key]

    def gene_weights(
        self, blocks: Sequence[str], power: float, targets: Sequence[str] = ()
    ) -> dict[str, Floats]:
        """Factors of the genes of some blocks, by what they say about the labels.

        Args:
            blocks: Blocks of genes, read together.
            power: Power of their correlation with the label.
            targets: Targets whose labels they are; by default the fold's own.
        """
        key = (power, tuple(blocks), tuple(targets))
        if key not in self._weights:
            measured = self._measured(blocks)
            training = [p for p in self.fold.train if p in measured]
            genes, labels = self._scaled(blocks, training), self.label_table(training, targets)
            self._weights[key] = gene_weights(genes, labels, power)
        return self._weights[key]

    def scaled(self, block: str) -> pd.DataFrame:
        """A block's genes as networks read them, before weights: float32 [n, K] of n patients."""
        return self.scaled_genes.of(self.transforms.blocks[block], self.data.genomics[block])

    def _fit_programmes(
        self,
        n_programmes: int,
        blocks: Sequence[str],
        targets: Sequence[str],
        n_prototypes: int | None,
        proportions: bool,
    ) -> ExpressionProgrammes:
        bags = self.data.bags
        if bags is None or not self._measured(blocks):
            raise InputError("expression programmes need slides and genomics: give both")
        paired = self.paired([*self.fold.train, *self.extras], blocks)
        labels = self.label_table(paired.patients, targets)
        names = self.gene_names(blocks)
        return fit_programmes(
            bags,
            paired.patients,
            paired.genes,
            labels,
            n_programmes,
            names,
            paired.groups,
            n_prototypes,
            proportions=proportions,
        )

    def paired(self, patients: Sequence[str], blocks: Sequence[str]) -> Paired:
        """Those of some patients who have slides and at least one of the blocks of genes."""
        measured = self._measured(blocks)
        found = [p for p in patients if p in measured and p in self.data.with_slides]
        genes = np.hstack(list(self._scaled(blocks, found).values()))
        return Paired(found, genes, self._hospitals_of(found))

    def gene_names(self, blocks: Sequence[str]) -> list[str]:
        """Names ``block:gene`` of all genes of some blocks, side by side."""
        return [f"{name}:{gene}" for name in blocks for gene in self.transforms.blocks[name].genes_]

    def _hospitals_of(self, patients: Sequence[str]) -> list[str]:
        """The hospital of each patient; who has none known is a group of their own."""
        sites = self.data.clinical.sites.reindex(list(patients))
        return [f"hospital {s}" if isinstance(s, str) else p for p, s in sites.items()]

    def _measured(self, blocks: Sequence[str]) -> set[str]:
        """Patients who have at least one of the blocks."""
        return {p for name in blocks for p in self.data.genomics[name].index}

    def _scaled(
        self, blocks: Sequence[str], patients: Sequence[str]
    ) -> dict[str, NDArray[np.float64]]:
        """Scaled genes of some patients, [n, K] a block; a block that one lacks is 0."""
        scaled = {}
        for name in blocks:
            values = self.scaled(name).reindex(list(patients))
            scaled[name] = values.fillna(0.0).to_numpy(dtype="float64")
        return scaled

    def label_table(self, patients: Sequence[str], targets: Sequence[str]) -> NDArray[np.int64]:
        """Class indices, -1 where unknown: of T targets [n, T], or the fold's own, [n]."""
        if not targets:
            return self._column(self.labels, patients)
        labels = [self.data.labels(name) for name in targets]
        return np.stack([self._column(own, patients) for own in labels], axis=1)

    @staticmethod
    def _column(labels: pd.Series[int], patients: Sequence[str]) -> NDArray[np.int64]:
        known = labels.reindex(list(patients)).fillna(UNKNOWN)
        return np.asarray(known, dtype=np.int64)


def prepare_fold(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    fold: Fold,
    scaled_genes: ScaledGenes | None = None,
    strata: pd.Series[int] | None = None,
) -> FoldData:
    """Fit gene selection, imputation and scaling on the training patients of a fold.

    Args:
        experiment: The experiment.
        data: Its inputs.
        target: What is predicted.
        fold: Who trains.
        scaled_genes: Keeps scaled genes of all folds of a run; of this one alone by default.
        strata: What the patients are divided by; by default the target's labels.
    """
    withheld = list(fold.withheld)
    labels = data.labels(target).drop(withheld)
    labelled = labels.index if strata is None else strata.index.difference(withheld)
    transforms = fit_transforms(
        fold.train,
        bags=data.bags,
        genomics=data.genomics,
        preprocessors={n: preprocessor(n, block) for n, block in experiment.genomics.items()},
        standardise=experiment.features is not None and experiment.features.standardise,
        labels=labels,
        survival=data.clinical.survival,
    )
    extras = extra_patients(experiment, data, labelled, fold)
    kept = ScaledGenes() if scaled_genes is None else scaled_genes
    return FoldData(
        target, fold, labels, transforms, tuple(extras), data, experiment.targets, strata, kept
    )


def preprocessor(name: str, block: BlockSettings) -> GenomicPreprocessor:
    """An unfitted preprocessor as a block's settings say."""
    return GenomicPreprocessor(
        selection=block.selection,
        impute=block.impute,
        scale=block.scale,
        clip=block.clip,
        block=name,
    )
