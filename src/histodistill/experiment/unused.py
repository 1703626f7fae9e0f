"""What an experiment's file names and nothing in it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from histodistill.baselines.registry import BASELINES
from histodistill.errors import listed
from histodistill.experiment.methods import MethodSettings
from histodistill.experiment.settings import Experiment
from histodistill.model import NETWORKS


def unused_settings(experiment: Experiment, raw: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each setting that was written and that has no effect.

    Args:
        experiment: The experiment.
        raw: Its file, as written: what recipes and defaults set is nobody's mistake.
    """
    yield from _baselines_without_inputs(experiment)
    yield from _genes_of_no_baseline(experiment)
    yield from _inputs_of_nobody(experiment)
    yield from _of_values_not_scaled(experiment)
    yield from _trials_of_no_pair(experiment)
    if "seeds" in raw and all(m.seeds is not None for m in experiment.methods.values()):
        yield "seeds: every method has `seeds` of its own; leave these out"
    for name, method in experiment.methods.items():
        changes = _mapping(_mapping(raw.get("methods")).get(name))
        for problem in _without_effect(method, changes):
            yield f"methods.{name}.{problem}"


def _of_values_not_scaled(experiment: Experiment) -> Iterator[str]:
    for name, block in experiment.genomics.items():
        if block.clip is not None and block.scale == "none":
            yield (
                f"genomics.{name}.clip: is in standard deviations of values that are scaled, and "
                "`scale: none` leaves them as they are; leave out one of the two"
            )


def _trials_of_no_pair(experiment: Experiment) -> Iterator[str]:
    tuning = experiment.tuning
    if tuning is None or "trials" not in tuning.model_fields_set:
        return
    pairs = len(set(tuning.learning_rates)) * len(set(tuning.weight_decays))
    if tuning.trials > pairs:
        yield (
            f"tuning.trials: {tuning.trials} trials, and there are {pairs} pairs of a learning "
            f"rate and a weight decay; write {pairs} or fewer, or name more values"
        )


def _baselines_without_inputs(experiment: Experiment) -> Iterator[str]:
    """Baselines that were asked for; those by default are left out where they cannot be."""
    if "baselines" not in experiment.model_fields_set:
        return
    for name in dict.fromkeys(experiment.baselines):
        wanted = "features" if BASELINES.facts(name).reads == "slides" else "genomics"
        if not getattr(experiment, wanted):
            yield f"baselines: {name} has nothing to read; give `{wanted}`, or leave it out"


def _genes_of_no_baseline(experiment: Experiment) -> Iterator[str]:
    if "genes" not in experiment.model_fields_set or not experiment.genes:
        return
    remedy = "or leave `genes` out"
    if not experiment.genomics:
        yield f"genes: {listed(list(experiment.genes))} cannot be read; give `genomics`, {remedy}"
    elif "single-gene" not in experiment.baselines:
        yield (
            f"genes: {listed(list(experiment.genes))} are reported by the baseline `single-gene`, "
            f"which is not among `baselines`; add it, {remedy}"
        )


def _inputs_of_nobody(experiment: Experiment) -> Iterator[str]:
    """Slides and blocks that no method and no baseline reads."""
    methods = experiment.methods.values()
    reads = {BASELINES.facts(name).reads for name in experiment.baselines}
    by_slides = any(m.network.reads_slides for m in methods) or "slides" in reads
    if experiment.features is not None and not by_slides:
        yield "features: no method and no baseline reads slides; leave it out"
    if experiment.features is None:
        given = {"slides", "patient_pattern"} & experiment.cohort.model_fields_set
        for name in sorted(given):
            yield f"cohort.{name}: speaks of slides; give `features`, or leave it out"
    if reads & {"genomics", "genes"}:
        return
    reading = [method.network.blocks for method in methods if method.reads_genes]
    for name in experiment.genomics:
        if not any(blocks is None or name in blocks for blocks in reading):
            yield f"genomics.{name}: no method and no baseline reads it; leave it out"


def _without_effect(method: MethodSettings, changes: Mapping[str, Any]) -> Iterator[str]:
    """What a method changes in parts that it does not have."""
    yield from _of_networks_not_trained(method, _mapping(changes.get("network")))
    yield from _of_terms_without_networks(method, _mapping(changes.get("objective")))
    yield from _of_trainings_not_done(method, changes)
    for way in method.objective.distillation_options:
        if not method.objective.distillation.get(way):
            yield (
                f"objective.distillation_options.{way}: `objective.distillation` gives `{way}` no "
                "weight; add it, or leave its options out"
            )


def _of_networks_not_trained(method: MethodSettings, network: Mapping[str, Any]) -> Iterator[str]:
    trained = method.network.networks
    for name in NETWORKS:
        for key in (name, f"{name}_options"):
            if network.get(key) and name not in trained:
                yield (
                    f"network.{key}: trained are {', '.join(trained)}; add `{name}` to "
                    "`networks`, or leave it out"
                )
    if network.get("prototypes") and method.network.programmes is None:
        yield "network.prototypes: serve to predict `programmes`, and there are none; set them too"
    if network.get("proportions") and method.network.prototypes is None:
        yield "network.proportions: are read beside `prototypes`, and there are none; set them too"
    if network.get("shrinkage") and (
        "student" not in trained or method.network.student != "linear"
    ):
        yield (
            "network.shrinkage: is of the student `linear`, which is not trained; leave it out, or "
            "set `student: linear`"
        )
    if network.get("fusion") and "multimodal" not in trained:
        yield "network.fusion: joins slide and genes, and no multimodal network is trained"
    if network.get("blocks") is not None and not method.reads_genes:
        yield "network.blocks: the method reads no genes; leave it out"
    if network.get("gene_weighting") and not method.reads_genes:
        yield "network.gene_weighting: the method reads no genes; leave it out"


def _of_terms_without_networks(
    method: MethodSettings, objective: Mapping[str, Any]
) -> Iterator[str]:
    """Weights of terms between networks of which one is not trained, and what belongs to them."""
    trained = method.network.networks
    told = f"trained are {', '.join(trained)}"
    for teacher in objective.get("teachers") or ():
        if teacher not in trained:
            yield f"objective.teachers: names {teacher}, and {told}; add it to `networks`"
    taught = "student" in trained and bool(set(method.objective.teachers) & set(trained))
    for term in ("orthogonality", "alignment"):
        if objective.get(term) and len(trained) < 2:
            yield f"objective.{term}: is between two networks, and {told}; leave it out"
    between = [term for term in ("similarity", "collaboration") if objective.get(term)]
    ways = _mapping(objective.get("distillation"))
    between += [f"distillation.{way}" for way, weight in ways.items() if weight]
    for term in between:
        if not taught:
            yield (
                f"objective.{term}: is between the student and one of `teachers`, and {told}; "
                "leave it out, or train both"
            )
    if objective.get("temperature") and not (taught and method.objective.collaboration):
        yield "objective.temperature: is of `collaboration`, which has no part in the loss"
    components = objective.get("reconstruction_components")
    if components and not method.objective.from_genes.get("reconstruction"):
        yield "objective.reconstruction_components: `reconstruction` has no weight; give it one"


def _of_trainings_not_done(method: MethodSettings, changes: Mapping[str, Any]) -> Iterator[str]:
    if changes.get("teacher_training") is not None and not method.taught_offline:
        yield (
            "teacher_training: is of teachers that are trained first; write `offline: true` "
            "below `training`, or leave it out"
        )
    training = _mapping(changes.get("training"))
    for key in ("patches", "validation_patches"):
        if training.get(key) is not None and not method.network.reads_slides:
            yield f"training.{key}: the method reads no slides; leave it out"


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
