"""A tiny simulated cohort, tiny networks, and experiments on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from histodistill.cohort import Fold
from histodistill.experiment import Experiment, ExperimentData, MethodSettings, folds_for
from histodistill.features import open_bags
from histodistill.preparation import PreparedPatients
from histodistill.simulation import SimulatedCohort, SimulationSettings, simulate_cohort
from histodistill.training.fold.fold_data import FoldData, prepare_fold
from histodistill.training.fold.reading import readable
from histodistill.training.loop.initial_networks import build_networks
from histodistill.training.loop.trainer import Trainer

CPU = torch.device("cpu")
NETWORK = {"width": 8, "attention_width": 4, "token_size": 16, "fusion_width": 4}
SETTINGS = SimulationSettings(
    seed=1,
    n_patients=44,
    n_sites=6,
    n_genes=24,
    width=6,
    min_patches=3,
    max_patches=9,
    share_without_genomics=0.15,
    share_without_label=0.1,
)


@dataclass(frozen=True)
class World:
    """A cohort on disk and in memory."""

    files: SimulatedCohort
    data: ExperimentData


def make_files(folder: Path) -> SimulatedCohort:
    """Write the cohort, with a label of three classes beside ER."""
    files = simulate_cohort(folder, SETTINGS)
    clinical = pd.read_csv(files.clinical_table, dtype="str")
    clinical["SUBTYPE"] = np.resize(["basal", "luminal", "normal"], len(clinical))
    clinical.to_csv(files.clinical_table, index=False)
    return files


def described(files: SimulatedCohort, output: Path, **changes: Any) -> dict[str, Any]:
    """An experiment as its YAML file would describe it; ``changes`` replace its keys."""
    training = {"max_epochs": 4, "learning_rate": 5e-3, "batch_size": 8, "device": "cpu"}
    description: dict[str, Any] = {
        "name": "tiny",
        "simulated": True,
        "cohort": {
            "clinical": str(files.clinical_table),
            "site_column": "SITE",
            "survival": {"time": "OS_MONTHS", "event": "OS_STATUS"},
            "slides": str(files.slides_table),
        },
        "features": {"directory": str(files.features), "standardise": True},
        "genomics": {
            "mrna": {
                "file": str(files.expression),
                "selection": {"method": "univariate", "n_genes": 20},
            }
        },
        "targets": {"ER": {"classes": ["negative", "positive"], "positive": "positive"}},
        "splits": {"folds": 2, "validation": 0.3},
        "methods": {"mkd": {}},
        "baselines": [],
        "output": str(output),
    }
    description |= changes
    description["training"] = training | changes.get("training", {})
    description["methods"] = {
        name: {"network": NETWORK} | settings for name, settings in description["methods"].items()
    }
    return description


def experiment(files: SimulatedCohort, output: Path, **changes: Any) -> Experiment:
    """The experiment that ``described`` describes."""
    return Experiment.model_validate(described(files, output, **changes))


def method(files: SimulatedCohort, recipe: str = "mkd", **training: Any) -> MethodSettings:
    """A recipe with tiny networks."""
    changes = {"methods": {recipe: {}}, "training": training, "genomics": two_blocks(files)}
    return experiment(files, Path("unused"), **changes).methods[recipe]


def two_blocks(files: SimulatedCohort) -> dict[str, Any]:
    """Expression and copy number; ``with_copy_number`` holds the data of the latter."""
    block = {"file": str(files.expression), "selection": {"method": "univariate", "n_genes": 20}}
    return {"mrna": block, "cna": block}


def with_copy_number(world: World) -> World:
    """The cohort with a second block of genes, which three of its patients lack."""
    expression = world.data.genomics["mrna"]
    copies = expression.iloc[3:].clip(-1, 1).round()
    return replace(world, data=replace(world.data, genomics={"mrna": expression, "cna": copies}))


def first_fold(data: ExperimentData, setup: Experiment) -> Fold:
    """The first fold of the experiment's only target."""
    (target,) = setup.targets
    return folds_for(setup, data, target).folds[0]


def fold_data(world: World, **changes: Any) -> FoldData:
    """The first fold, prepared for training."""
    setup = experiment(world.files, Path("unused"), **changes)
    (target,) = setup.targets
    return prepare_fold(setup, world.data, target, first_fold(world.data, setup))


def prepared_patients(inputs: FoldData) -> PreparedPatients:
    """Everybody, with the fold's transforms."""
    labels = {str(patient): int(label) for patient, label in inputs.labels.items()}
    return PreparedPatients(
        inputs.data.bags,
        inputs.transforms.scaled(inputs.data.genomics),
        inputs.transforms,
        NETWORK["token_size"],
        labels,
    )


def trainer(settings: MethodSettings, inputs: FoldData, seed: int = 0, weights: int = 0) -> Trainer:
    """A trainer on the fold; ``weights`` is the seed of the initial weights."""
    prepared = prepared_patients(inputs)
    return Trainer(
        build_networks(settings, prepared.feature_width, {"mrna": 16}, 2, weights),
        settings,
        prepared,
        training=readable(prepared, inputs.fold.train),
        validation=readable(prepared, inputs.fold.validation),
        seed=seed,
        device=CPU,
    )


def disguised(data: ExperimentData, patients: Iterable[str], folder: Path) -> ExperimentData:
    """The same cohort, but for everything about some patients: slides, genes, label, survival."""
    rng = np.random.default_rng(99)
    others = sorted(patients)
    assert data.bags is not None
    bags = {patient: data.bags.bag(patient).numpy() for patient in data.bags.patients}
    for patient in set(others) & set(bags):
        bags[patient] = rng.normal(40, 30, size=(12, data.bags.width)).astype("float16")
    folder.mkdir(parents=True)
    for patient, bag in bags.items():
        np.save(folder / f"{patient}.npy", bag)

    genomics = {}
    for name, table in data.genomics.items():
        measured = table.index.intersection(pd.Index(others))
        changed = table.copy()
        values = rng.normal(-30, 20, size=(len(measured), table.shape[1]))
        changed.loc[measured] = values.astype("float32")
        genomics[name] = changed.drop(index=measured[:2])  # and two lose their genes

    clinical = data.clinical
    labels, survival = clinical.labels.copy(), clinical.survival
    labels.loc[others] = 1 - labels.loc[others]
    assert survival is not None
    survival = survival.copy()
    followed = survival.index.intersection(pd.Index(others))
    survival.loc[followed, "time"] = 7000.0
    survival.loc[followed, "event"] = ~survival.loc[followed, "event"]
    return replace(
        data,
        bags=open_bags({patient: [folder / f"{patient}.npy"] for patient in bags}),
        genomics=genomics,
        clinical=replace(clinical, labels=labels, survival=survival),
    )
