"""An experiment in sentences, by the topics that reporting guidelines ask for."""

from __future__ import annotations

import pandas as pd

from histodistill.errors import listed
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment


def described(experiment: Experiment, data: ExperimentData | None) -> dict[str, str]:
    """Sentences by topic: sources, preparation, outcome, predictors, methods and so on.

    Args:
        experiment: What was run.
        data: Its inputs; None where they cannot be read, so that nothing is counted.
    """
    told = {
        "sources": _sources(experiment),
        "preparation": _preparation(experiment),
        "outcome": _outcome(experiment),
        "predictors": _predictors(experiment),
        "methods": _methods(experiment),
        "output": _output(experiment),
        "specification": "Every setting is in experiment.json; the weights of each fold's model, "
        "with a card, are in fits/.",
        "updating": "No model was updated or recalibrated on test patients.",
        "balance": _balance(experiment),
    }
    if data is not None:
        told["missing"] = _missing(experiment, data)
    return told


def _sources(experiment: Experiment) -> str:
    files = [f"clinical table {experiment.cohort.clinical.name}"]
    if experiment.features is not None:
        files.append(f"patch features in {experiment.features.directory.name}/")
    files += [f"{name} {block.file.name}" for name, block in experiment.genomics.items()]
    return f"Read: {', '.join(files)}."


def _preparation(experiment: Experiment) -> str:
    features = experiment.features
    parts = []
    if features is not None:
        how = "standardised by the training patients" if features.standardise else "as they are"
        parts.append(f"patch features {how}")
    for name, block in experiment.genomics.items():
        cut = f", cut at {block.clip:g} sd" if block.clip else ""
        parts.append(
            f"{name}: genes selected by {block.selection.method}, missing values by the "
            f"{block.impute}, scaling {block.scale}{cut}"
        )
    return f"Fitted on the training patients of each fold alone: {'; '.join(parts)}."


def _outcome(experiment: Experiment) -> str:
    told = [
        f"{name} ({', '.join(target.classes)}"
        + (f"; positive: {target.positive}" if target.positive else "")
        + f"), column {target.column}"
        for name, target in experiment.targets.items()
    ]
    return f"Outcome: {'; '.join(told)}."


def _predictors(experiment: Experiment) -> str:
    read = ["all patches of a patient's slides"] if experiment.features is not None else []
    for name, block in experiment.genomics.items():
        left = block.selection.exclude
        without = f" without {listed(list(left))}" if left else ""
        read.append(f"genes of {name}{without}")
    return f"Predictors: {', '.join(read)}."


def _methods(experiment: Experiment) -> str:
    splits, tuning = experiment.splits, experiment.tuning
    divided = "once" if splits.repeats == 1 else f"{splits.repeats} times"
    searched = "none" if tuning is None else f"{tuning.trials} trials on validation patients"
    return (
        f"Division: {splits.scheme}, {divided}; {splits.validation:.0%} of each "
        f"training part stops the training and chooses thresholds; tuning: {searched}; methods: "
        f"{listed(list(experiment.methods))}."
    )


def _output(experiment: Experiment) -> str:
    rules = {method.training.threshold for method in experiment.methods.values()}
    return (
        "Output: a probability of each class, and a call at a threshold chosen on the validation "
        f"patients of each fold ({', '.join(sorted(rules))})."
    )


def _balance(experiment: Experiment) -> str:
    drawn = [name for name, m in experiment.methods.items() if m.training.balanced]
    if not drawn:
        return "Class imbalance: patients were drawn as they are."
    return f"Class imbalance: patients of each class were drawn equally often ({listed(drawn)})."


def _missing(experiment: Experiment, data: ExperimentData) -> str:
    n = len(data.patients)
    told = [f"{name} unknown in {n - len(data.labels(name))}" for name in experiment.targets]
    told.append(f"no slides in {n - len(data.with_slides & set(data.patients))}")
    if data.genomics:
        told.append(f"no genomics in {n - len(data.with_genes & set(data.patients))}")
    sites = int(pd.Series(data.clinical.sites.reindex(list(data.patients))).isna().sum())
    return f"Missing, of {n} patients: {'; '.join(told)}; site unknown in {sites}."
