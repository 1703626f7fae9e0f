"""Methods of an experiment: networks, loss, optimisation, and which of them go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from histodistill.computing.device import DEVICE_NAMES
from histodistill.computing.precision import PrecisionChoice
from histodistill.errors import InputError, Problems
from histodistill.experiment.recipes import Recipe, merged, recipe
from histodistill.model import NetworkSettings, ObjectiveSettings
from histodistill.model.registries import DISTILLERS, GENE_TERMS, NETWORK_REGISTRIES
from histodistill.model.settings import foreign_parts
from histodistill.settings import Settings


class TrainingSettings(Settings):
    """Optimisation; the defaults are the paper's.

    Attributes:
        learning_rate: Of AdamW, at the start.
        weight_decay: Of AdamW.
        max_epochs: Epochs at most.
        cosine_epochs: Epochs of half a cosine period of the learning rate.
        batch_size: Patients in a batch.
        patience: Epochs without a better validation figure before stopping.
        monitor: Validation figure that decides the best epoch: ``<network>_auc`` or
            ``<network>_loss`` (cross-entropy), or ``loss`` (sum of the cross-entropies).
            All networks are kept from the epoch that is best by this one figure.
        balanced: Draw patients so that classes are equally frequent, with replacement.
        unlabelled: Let patients whose label is unknown take part in the terms of the
            loss that need none.
        members: Models whose probabilities are averaged. With more than one, training and
            validation patients are divided anew into as many parts; each model stops on one
            part and trains on the others.
        offline: Train the teachers first, each alone and by its own validation loss, and then
            the student, taught by the frozen teachers. Otherwise all are trained together.
            Methods without a student, or without a teacher, are trained as ever.
        patches: Patches drawn from each bag in each epoch; None reads whole bags.
        validation_patches: Patches of each validation bag that judge an epoch, drawn once and
            the same in every epoch; None reads whole bags. Answers and thresholds always read
            whole bags.
        threshold: How the operating threshold is chosen on the validation patients.
        precision: Of training, and of the validation that stops it: ``float32``, ``bfloat16``
            autocast, or ``auto``, which is bfloat16 where the device is fast in it, as measured,
            and the networks gain by it, else float32. A run keeps what it began with. Answers
            and thresholds are always computed in float32.
        device: ``auto`` (an NVIDIA GPU where there is one, else the CPU), ``cpu``, ``cuda``,
            ``cuda:<n>`` or ``mps``.
    """

    learning_rate: PositiveFloat = 2e-4
    weight_decay: NonNegativeFloat = 1e-5
    max_epochs: PositiveInt = 100
    cosine_epochs: PositiveInt = 50
    batch_size: int = Field(default=16, ge=2)
    patience: PositiveInt = 5
    monitor: str = Field(
        default="student_loss", pattern=r"^((student|multimodal|genomic)_(auc|loss)|loss)$"
    )
    balanced: bool = True
    unlabelled: bool = False
    members: PositiveInt = 1
    offline: bool = False
    patches: PositiveInt | None = None
    validation_patches: PositiveInt | None = None
    threshold: Literal["youden", "balanced_accuracy", "f1"] = "youden"
    precision: PrecisionChoice = "float32"
    device: str = Field(default="auto", pattern=DEVICE_NAMES)


class TuningSettings(Settings):
    """The inner search: the same few trials for every method, target and fold.

    Each trial is a training that is judged on the validation patients of its fold alone, by the
    method's ``monitor`` at the best epoch. Teachers that are trained first are not tuned.

    Attributes:
        learning_rates: Learning rates to try.
        weight_decays: Weight decays to try.
        trials: Trainings at most; fewer than all pairs are drawn as ``sampler`` says.
        sampler: ``grid`` (pairs without repetition, in random order) or ``tpe`` (later trials
            near the good ones).
        seed: Seed of the sampler.
    """

    learning_rates: tuple[PositiveFloat, ...] = Field(default=(5e-5, 2e-4, 1e-3), min_length=1)
    weight_decays: tuple[NonNegativeFloat, ...] = Field(default=(1e-5, 1e-2), min_length=1)
    trials: PositiveInt = 6
    sampler: Literal["grid", "tpe"] = "grid"
    seed: NonNegativeInt = 0


class MethodSettings(Settings):
    """A method: a recipe and what the experiment changes in it.

    Attributes:
        recipe: Name of the recipe that it starts from, of those that
            ``histodistill suite --list-methods`` shows, or an import path; where it is left out,
            the method's own name is a recipe's.
        network: Architecture.
        objective: Weights of the loss.
        training: Optimisation.
        teacher_training: Optimisation of teachers that are trained first, where it differs from
            ``training``, on top of which it is read.
        seeds: Seeds of this method; None for the experiment's.
        joint: Targets that one student learns together, with a head each, and how much the labels
            of each count: ``true`` for all targets of the experiment alike, a list of some, or
            ``{ER: 1, HER2: 2}``. Patients need a label of one of them. Targets that are not named
            are learnt alone.
    """

    recipe: str
    network: NetworkSettings
    objective: ObjectiveSettings
    training: TrainingSettings
    teacher_training: TrainingSettings | None = None
    seeds: tuple[NonNegativeInt, ...] | None = None
    joint: dict[str, PositiveFloat] = Field(default_factory=dict)

    def learnt_with(self, target: str) -> tuple[str, ...]:
        """The targets that are learnt together with one, itself among them."""
        return tuple(self.joint) if target in self.joint else (target,)

    @property
    def reads_genes(self) -> bool:
        """Whether the training reads genes: a network, a term of the loss, or the programmes."""
        network = self.network
        in_bags = network.programmes is not None and network.reads_slides
        return network.reads_genes or in_bags or self.objective.reads_genes

    @property
    def foreign_parts(self) -> bool:
        """Whether another package brings a trained network or a term of the loss."""
        return bool(foreign_parts(self.network, self.objective))

    @property
    def taught_offline(self) -> bool:
        """Whether a student is taught by teachers that are finished before."""
        return self.training.offline and {"student"} < set(self.network.networks)

    def tuned(self, learning_rate: float, weight_decay: float) -> MethodSettings:
        """The same method with other optimisation; its finished teachers stay as they are."""
        chosen = {"learning_rate": learning_rate, "weight_decay": weight_decay}
        return self.model_copy(
            update={
                "training": self.training.model_copy(update=chosen),
                "teacher_training": self.teacher_training or self.training,
            }
        )

    @field_validator("recipe")
    @classmethod
    def _recipe_is_known(cls, name: str) -> str:
        with told_with_the_rest():
            recipe(name)
        return name

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if seeds is None else different_seeds(seeds)

    @model_validator(mode="after")
    def _parts_are_there(self) -> MethodSettings:
        problems = Problems()
        for network in self.network.networks:
            registry = NETWORK_REGISTRIES[network]
            problems.attempt(partial(registry.facts, getattr(self.network, network)))
        for name in self.objective.distillation:
            problems.attempt(partial(DISTILLERS.facts, name))
        for name in self.objective.from_genes:
            problems.attempt(partial(GENE_TERMS.facts, name))
        with told_with_the_rest():
            problems.raise_any()
        return self

    @model_validator(mode="after")
    def _options_are_known(self) -> MethodSettings:
        unknown = [
            problem
            for name in self.network.networks
            for problem in NETWORK_REGISTRIES[name].wrong_options(
                getattr(self.network, name), getattr(self.network, f"{name}_options")
            )
        ]
        unknown += [
            problem
            for name in self.objective.distillation
            for problem in DISTILLERS.wrong_options(
                name, self.objective.distillation_options.get(name, {})
            )
        ]
        if unknown:
            raise ValueError("\n".join(unknown))
        return self

    @model_validator(mode="after")
    def _terms_have_their_student(self) -> MethodSettings:
        misplaced = [
            *_misplaced_terms(self.network, self.objective),
            *_incomparable_features(self.network, self.objective),
        ]
        if misplaced:
            raise ValueError("; ".join(misplaced))
        return self

    @model_validator(mode="after")
    def _something_is_learnt(self) -> MethodSettings:
        objective = self.objective
        if not (objective.cross_entropy or objective.between_networks or objective.reads_genes):
            raise ValueError("`objective`: every weight is 0, so that nothing is learnt")
        return self

    @model_validator(mode="after")
    def _parts_have_heads(self) -> MethodSettings:
        if self.joint:
            headless = list(_headless(self.network, self.objective))
            if headless:
                raise ValueError("; ".join(headless))
        return self

    @model_validator(mode="after")
    def _experts_are_trained(self) -> MethodSettings:
        networks = self.network.networks
        composed = "multimodal" in networks and self.network.declared("multimodal").composed
        if self.taught_offline and composed and "genomic" not in networks:
            raise ValueError(
                f"`network.multimodal: {self.network.multimodal}` with `offline: true` is made of "
                "the student and the genomic teacher: train `genomic` as well"
            )
        return self

    @model_validator(mode="after")
    def _monitors_a_trained_network(self) -> MethodSettings:
        monitored = self.training.monitor.rpartition("_")[0]
        if monitored and monitored not in self.network.networks:
            raise ValueError(
                f"`monitor: {self.training.monitor}` names a network that is not trained; "
                f"trained are {', '.join(self.network.networks)}"
            )
        if self.taught_offline and monitored not in ("", "student"):
            raise ValueError(
                f"`monitor: {self.training.monitor}` with `offline: true`: each teacher is "
                "stopped by its own loss; monitor student_loss or student_auc"
            )
        return self


def _misplaced_terms(network: NetworkSettings, objective: ObjectiveSettings) -> Iterator[str]:
    """Terms of the loss whose student is not trained."""
    student = network.student if "student" in network.networks else None
    for name, weight in objective.from_genes.items():
        wanted = GENE_TERMS.facts(name).student
        if weight and student is None and not wanted:
            yield f"`objective.{name}` needs a student; train one, or set it to 0"
        if weight and wanted and student != wanted:
            yield f"`objective.{name}` needs the student `{wanted}`; or set it to 0"


def _incomparable_features(network: NetworkSettings, objective: ObjectiveSettings) -> Iterator[str]:
    """Terms of the loss between networks whose features differ in width."""
    odd = {name for name in network.networks if not network.declared(name).fixed_width}
    named = " and ".join(dict.fromkeys(f"`{getattr(network, name)}`" for name in sorted(odd)))
    why = f"needs features of `network.width`, which {named} does not have; set it to 0"
    for term in ("orthogonality", "alignment"):
        if getattr(objective, term) and odd and len(network.networks) > 1:
            yield f"`objective.{term}` {why}"
    taught = {"student", *objective.teachers} & set(network.networks)
    for way, weight in objective.distillation.items():
        if weight and DISTILLERS.facts(way).one_width and "student" in taught and taught & odd:
            yield f"`objective.distillation.{way}` {why}"
    for term, weight in objective.from_genes.items():
        if weight and GENE_TERMS.facts(term).one_width and "student" in odd:
            yield f"`objective.{term}` {why}"


def _headless(network: NetworkSettings, objective: ObjectiveSettings) -> Iterator[str]:
    """Parts that learn one target alone."""
    for kind in network.networks:
        if not network.declared(kind).heads:
            able = ", ".join(
                name
                for name in NETWORK_REGISTRIES[kind].own_names()
                if NETWORK_REGISTRIES[kind].facts(name).heads
            )
            yield (
                f"`joint`: the network `{kind}: {getattr(network, kind)}` learns one target; those "
                f"that learn several are {able}"
            )
    for way in objective.distillation:
        yield f"`joint`: `objective.distillation.{way}` teaches one target; leave it out"
    for name in objective.from_genes:
        if GENE_TERMS.facts(name).student:
            yield f"`joint`: `objective.{name}` is of one target; leave it out"


@contextmanager
def told_with_the_rest() -> Iterator[None]:
    """What is wrong is refused together with all else in the file."""
    try:
        yield
    except InputError as error:
        raise ValueError("\n".join(error.problems)) from error


def resolved_method(name: str, changes: Any, shared: Any, targets: Sequence[str] = ()) -> Any:
    """A method's settings: recipe, then the experiment's training, then its own changes.

    Args:
        name: The method's.
        changes: What the file says of it.
        shared: The experiment's training.
        targets: All targets of the experiment, which ``joint: true`` means.
    """
    if changes is not None and not isinstance(changes, Mapping):
        return changes  # refused with all the rest that is wrong
    changes = {"recipe": name} | dict(changes or {})
    try:
        base = recipe(str(changes["recipe"])).changes
    except (ValueError, InputError):  # refused with all the rest that is wrong
        base = Recipe().changes
    method = merged(merged(base, {"training": shared}), changes)
    own, teachers = method.get("training"), method.get("teacher_training")
    if isinstance(own, Mapping) and isinstance(teachers, Mapping):
        method["teacher_training"] = merged(own, teachers)
    if "joint" in method:
        method["joint"] = _weighted_targets(method["joint"], targets)
    return method


def _weighted_targets(joint: Any, targets: Sequence[str]) -> Any:
    """The weight of each target that is learnt with others, however the file says it."""
    if isinstance(joint, bool):
        return dict.fromkeys(targets, 1.0) if joint else {}
    return {str(name): 1.0 for name in joint} if isinstance(joint, list) else joint


def different_seeds(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """The seeds, refused where there are none or one comes twice."""
    if not seeds:
        raise ValueError("must not be empty")
    if len(set(seeds)) != len(seeds):
        raise ValueError("a seed is named twice")
    return seeds
