"""The simple models that stand beside the networks, on the same folds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.baselines import (
    BASELINES,
    Baseline,
    build_baseline,
    named_gene_baselines,
)
from histodistill.errors import InputError
from histodistill.experiment.inputs import BlockSettings
from histodistill.experiment.settings import Experiment
from histodistill.features import BagStore
from histodistill.genomics import GenomicPreprocessor, SelectionSettings
from histodistill.model import NetworkName
from histodistill.training.fit.prediction_rows import prediction_rows
from histodistill.training.fit.thresholds import thresholds_for
from histodistill.training.fold.fold_data import FoldData

_SINGLE_GENE = "single-gene"
# Enough for a median, few enough to cost nothing beside the training.
TIMED_PATIENTS = 5


@dataclass(frozen=True)
class _Contestant:
    """A baseline, what it reads, and whose column it fills.

    ``inputs`` has a row for every patient who can be answered.
    """

    name: str
    network: NetworkName
    model: Baseline
    inputs: pd.DataFrame


@dataclass(frozen=True)
class BaselineCost:
    """What a baseline took in a fold, of processor time.

    Attributes:
        name: The baseline's.
        network: Whose column it fills.
        training_seconds: To fit it, with the search for its strength. Reading and averaging
            patches or scaling genes, which baselines share, is not part of it.
        inference_ms: The median of a few patients, from their row; None where nobody can be asked.
    """

    name: str
    network: NetworkName
    training_seconds: float
    inference_ms: float | None


@dataclass(frozen=True)
class BaselineAnswers:
    """What the baselines of a fold say, and what that cost.

    Attributes:
        validation: A row a baseline and patient of validation.
        test: Likewise, of the test.
        costs: One of every baseline.
    """

    validation: pd.DataFrame
    test: pd.DataFrame
    costs: tuple[BaselineCost, ...]


def answer_by_baselines(experiment: Experiment, inputs: FoldData) -> BaselineAnswers:
    """Fit every baseline on the training patients of a fold alone, and ask it.

    Raises:
        InputError: No training patient has what a baseline reads.
    """
    validation, test, costs = [], [], []
    for contestant in _contestants(experiment, inputs):
        started = time.process_time()
        model = _fitted(contestant, inputs)
        seconds = time.process_time() - started
        validation.append(_rows(experiment, inputs, contestant, model, inputs.fold.validation))
        test.append(_rows(experiment, inputs, contestant, model, inputs.fold.test))
        asked_ms = _inference_ms(contestant, model, inputs.fold.test)
        costs.append(BaselineCost(contestant.name, contestant.network, seconds, asked_ms))
    return BaselineAnswers(
        pd.concat(validation, ignore_index=True), pd.concat(test, ignore_index=True), tuple(costs)
    )


def _inference_ms(
    contestant: _Contestant, model: Baseline, patients: Sequence[str]
) -> float | None:
    able = [patient for patient in patients if patient in contestant.inputs.index]
    times = []
    for patient in able[:TIMED_PATIENTS]:
        row = contestant.inputs.loc[[patient]].to_numpy()
        started = time.process_time()
        model.predict_proba(row)
        times.append(1000 * (time.process_time() - started))
    return statistics.median(times) if times else None


def _contestants(experiment: Experiment, inputs: FoldData) -> Iterator[_Contestant]:
    n_classes = len(experiment.targets[inputs.target].classes)
    bags = inputs.data.bags
    asked = dict.fromkeys(experiment.baselines)
    if bags is not None:
        for name in asked:
            if BASELINES.facts(name).reads == "slides":
                patches = mean_patch_table(bags)
                model = build_baseline(name, list(patches.columns), n_classes)
                yield _Contestant(_label(name), "student", model, patches)
    for block, table in inputs.data.genomics.items():
        exclude = experiment.genomics[block].selection.exclude
        values = _scaled(table, inputs.fold.train, experiment.genomics[block])
        allowed = values.drop(columns=[gene for gene in exclude if gene in values])
        for name in asked:
            if BASELINES.facts(name).reads != "slides":
                on_genes = build_baseline(name, list(allowed.columns), n_classes)
                yield _Contestant(f"{_label(name)}-{block}", "genomic", on_genes, allowed)
        if _SINGLE_GENE in asked:
            named = named_gene_baselines(
                list(values.columns), genes=experiment.genes, n_classes=n_classes
            )
            for gene, one in named.items():
                yield _Contestant(f"{gene}-{block}", "genomic", one, values)


def mean_patch_table(bags: BagStore) -> pd.DataFrame:
    """The mean patch of every patient, patients x features."""
    means = [bags.bag(patient).float().mean(dim=0).numpy() for patient in bags.patients]
    return pd.DataFrame(np.stack(means), index=bags.patients)


def _label(name: str) -> str:
    """What precedes the block in the tables: of an import path, the class."""
    if name == _SINGLE_GENE:
        return "best-gene"
    return name.rpartition(":")[2].removesuffix("-genomics")


def _scaled(table: pd.DataFrame, train: Sequence[str], settings: BlockSettings) -> pd.DataFrame:
    """All genes of a block, imputed, scaled and cut as those that networks read."""
    every = GenomicPreprocessor(
        selection=SelectionSettings(method="all", n_genes=None),
        impute=settings.impute,
        scale=settings.scale,
        clip=settings.clip,
    )
    every.fit(table.loc[table.index.intersection(pd.Index(train))])
    return pd.DataFrame(every.transform(table), index=table.index, columns=every.genes_)


def _fitted(contestant: _Contestant, inputs: FoldData) -> Baseline:
    train = [p for p in inputs.fold.train if p in contestant.inputs.index]
    if not train:
        raise InputError(f"baseline {contestant.name}: no training patient has what it reads")
    labels = _class_indices(inputs, train)
    return contestant.model.fit(contestant.inputs.loc[train].to_numpy(), labels)


def _rows(
    experiment: Experiment,
    inputs: FoldData,
    contestant: _Contestant,
    model: Baseline,
    part: Sequence[str],
) -> pd.DataFrame:
    target = experiment.targets[inputs.target]
    answers = {contestant.network: _answer(contestant, model, part, len(target.classes))}
    thresholds = _thresholds(experiment, inputs, contestant, model)
    return prediction_rows(
        target, inputs, part, answers, thresholds, method=contestant.name, seed=0
    )


def _thresholds(
    experiment: Experiment, inputs: FoldData, contestant: _Contestant, model: Baseline
) -> dict[NetworkName, float]:
    target = experiment.targets[inputs.target]
    validation = inputs.fold.validation
    answers = {contestant.network: _answer(contestant, model, validation, len(target.classes))}
    labels = _class_indices(inputs, validation)
    return thresholds_for(target, answers, labels, "youden")


def _class_indices(inputs: FoldData, patients: Sequence[str]) -> NDArray[np.int64]:
    return np.array([inputs.labels[patient] for patient in patients], dtype=np.int64)


def _answer(
    contestant: _Contestant, model: Baseline, part: Sequence[str], n_classes: int
) -> NDArray[np.float64]:
    """Class probabilities [n, C]; NaN for patients who lack what the baseline reads."""
    answer = np.full((len(part), n_classes), np.nan)
    able = [row for row, patient in enumerate(part) if patient in contestant.inputs.index]
    if able:
        patients = [part[row] for row in able]
        answer[able] = model.predict_proba(contestant.inputs.loc[patients].to_numpy())
    return answer
