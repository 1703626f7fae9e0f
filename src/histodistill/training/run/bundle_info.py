"""What a trained model says of itself, for its bundle."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from histodistill.cohort import Fold
from histodistill.deploy.info import BundleInfo, FeatureOrigin
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment
from histodistill.features import BagStore
from histodistill.model.registries import NETWORK_REGISTRIES
from histodistill.training.fold.fold_data import FoldData
from histodistill.training.run.run_folder import versions

# What a table needs to be read the same way again.
_READING = {"format", "transform", "gdc_column", "patient_column", "sample_pattern"}


def bundle_info(
    experiment: Experiment,
    inputs: FoldData,
    name: str,
    settings: MethodSettings,
    seed: int,
    target: str | None = None,
) -> BundleInfo:
    """Describe a model trained on a fold's training patients.

    Args:
        experiment: The experiment.
        inputs: The fold's data.
        name: The method's name.
        settings: The method as it was trained.
        seed: Its seed.
        target: What it predicts, of targets that it has learnt together; by default the fold's.
    """
    name_of_target = target or inputs.target
    declared = experiment.targets[name_of_target]
    reads = settings.network
    fold = inputs.fold
    return BundleInfo(
        target=name_of_target,
        classes=declared.classes,
        positive=declared.positive,
        ordered=declared.ordered,
        features=_origin(inputs.data.bags) if reads.reads_slides else None,
        blocks={
            block_name: block.model_dump(mode="json", include=_READING)
            for block_name, block in experiment.genomics.items()
            if reads.reads_genes and (reads.blocks is None or block_name in reads.blocks)
        },
        recipe=settings.recipe,
        provenance={
            "experiment": experiment.name,
            "method": name,
            "settings": settings.model_dump(mode="json"),
            "seed": seed,
            "patients": _counts(fold, settings.training.members),
            **learnt_from(experiment, inputs.data, name_of_target, (*fold.train, *fold.validation)),
            "versions": versions(),
            "packages": _packages(settings),
            **_told_of_cohort(experiment, reads.reads_slides),
        },
    )


def _told_of_cohort(experiment: Experiment, reads_slides: bool) -> dict[str, Any]:
    """What new patients must be held against; what does not apply is left out."""
    told: dict[str, Any] = {"simulated": True} if experiment.simulated else {}
    pattern = experiment.cohort.patient_pattern
    return told | ({"patient_pattern": pattern} if pattern and reads_slides else {})


def learnt_from(
    experiment: Experiment, data: ExperimentData, target: str, patients: Collection[str]
) -> dict[str, dict[str, int]]:
    """How many of the patients that a model has learnt from are of each class and each site."""
    labels = data.clinical.labels[target].reindex(list(patients))
    classes = experiment.targets[target].classes
    sites = data.clinical.sites.reindex(list(patients)).fillna("unknown").value_counts()
    return {
        "classes": {name: int((labels == place).sum()) for place, name in enumerate(classes)},
        "sites": {str(name): int(sites[name]) for name in sorted(sites.index)},
    }


def _packages(settings: MethodSettings) -> dict[str, str]:
    """The packages that networks of other packages come from, by the network's name."""
    network = settings.network
    names = {getattr(network, kind): NETWORK_REGISTRIES[kind] for kind in network.networks}
    found = {name: registry.package_of(name) for name, registry in names.items()}
    return {name: package for name, package in found.items() if package is not None}


def _counts(fold: Fold, members: int) -> dict[str, int]:
    """How many patients the model has learnt from."""
    if members == 1:
        return {"training": len(fold.train), "validation": len(fold.validation)}
    everybody = len(fold.train) + len(fold.validation)
    return {f"training and validation, divided anew for each of {members} members": everybody}


def _origin(bags: BagStore | None) -> FeatureOrigin | None:
    if bags is None:
        return None
    example = bags.slides(bags.patients[0])[0]
    return FeatureOrigin(
        width=bags.width,
        encoder=bags.encoder,
        patch_um=example.patch_um,
        tiling=dict(example.tiling),
        extraction=example.extraction,
    )
