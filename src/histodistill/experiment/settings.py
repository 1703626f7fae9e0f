"""One experiment = one YAML file, validated here; unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from histodistill.errors import InputError, listed
from histodistill.experiment.recipes import EMPTY, RECIPES, merged
from histodistill.model import NetworkSettings, ObjectiveSettings
from histodistill.model.settings import DistillationName
from histodistill.settings import Settings

# Names become folders, columns and rows of tables; those of blocks also parts of the networks,
# where a point would divide them.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
_BLOCK_NAME = r"[A-Za-z0-9][A-Za-z0-9_+-]*"
# A folder of a run that is no method's.
_RESERVED = "baselines"

BaselineName = Literal[
    "logistic-slides",
    "logistic-genomics",
    "elastic-net-genomics",
    "boosted-trees-genomics",
    "single-gene",
]


class SurvivalSettings(Settings):
    """Columns of the clinical table with the follow-up time and the event."""

    time: str
    event: str


class CohortSettings(Settings):
    """Patients and their slides.

    Attributes:
        clinical: Clinical table (CSV, TSV, Excel or Parquet), a row a patient.
        patient_column: Column with the patient, in the clinical and the slide table.
        site_column: Column with the hospital; by default the TCGA barcode is read.
        survival: Follow-up columns, needed only to select genes by Cox p-value.
        slides: Slide table; without one the patient is read from the file name.
        filename_column: Column of the slide table with the feature file.
        patient_pattern: Regular expression that finds the patient in a file name.
    """

    clinical: Path
    patient_column: str = "PATIENT"
    site_column: str | None = None
    survival: SurvivalSettings | None = None
    slides: Path | None = None
    filename_column: str = "FILENAME"
    patient_pattern: str | None = None


class FeatureSettings(Settings):
    """Patch features.

    Attributes:
        directory: Folder of feature files, one a slide.
        standardise: Standardise every feature with the training patients' mean and sd.
        memory_gb: Bags stay in memory when the cohort needs no more than this; those of larger
            cohorts are read batch by batch.
        dtype: Type of the patches; None takes the narrowest that holds those of every file.
        cache: Folder where bags are packed on first use: ``auto`` is the user's cache folder,
            None reads the feature files each time. No result depends on it.
    """

    directory: Path
    standardise: bool = False
    memory_gb: PositiveFloat = 8.0
    dtype: Literal["float16", "bfloat16", "float32"] | None = None
    cache: str | None = Field(default="auto", min_length=1, exclude=True)


class SelectionSettings(Settings):
    """Which genes of a block are read, chosen on the training patients of a fold.

    Attributes:
        method: ``cox`` (p-value against survival), ``univariate`` (association with the
            label), ``variance``, ``list`` (named genes) or ``all``.
        n_genes: How many of the best; None keeps all, in order of rank.
        genes: Names for ``list``.
        exclude: Genes never read, such as the ones that encode the label itself.
    """

    method: Literal["cox", "univariate", "variance", "list", "all"] = "variance"
    n_genes: PositiveInt | None = 8192
    genes: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class BlockSettings(Settings):
    """One block of genomic measurements, such as mRNA or copy number.

    Attributes:
        file: The matrix, or the folder of a GDC download.
        format: Its layout; ``auto`` recognises it by content.
        transform: Applied to every value: ``log2p1`` is log2(x + 1).
        gdc_column: Column of GDC STAR-counts files.
        patient_column: Column with the patient in a patients x genes table.
        sample_pattern: Regular expression that finds the patient in a sample name.
        selection: Which genes.
        impute: Value of a gene that a patient lacks, over the training patients.
        scale: ``standard`` to mean 0 and sd 1 over the training patients, or ``none``.
        clip: Scaled values are cut to this many standard deviations.
    """

    file: Path
    format: Literal["auto", "cbioportal", "xena", "gdc", "plain", "h5ad"] = "auto"
    transform: Literal["none", "log2p1"] = "none"
    gdc_column: str = "tpm_unstranded"
    patient_column: str = "PATIENT"
    sample_pattern: str | None = None
    selection: SelectionSettings = SelectionSettings()
    impute: Literal["median", "mean", "zero"] = "median"
    scale: Literal["standard", "none"] = "standard"
    clip: PositiveFloat | None = None


class TargetSettings(Settings):
    """One label to predict.

    Attributes:
        column: Column of the clinical table; by default the target's name.
        classes: All values that the column may hold.
        positive: The positive one of two classes.
    """

    column: str | None = None
    classes: tuple[str, ...]
    positive: str | None = None

    @model_validator(mode="after")
    def _positive_is_a_class(self) -> TargetSettings:
        if len(self.classes) < 2:
            raise ValueError("name two classes or more")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        if len(self.classes) == 2 and self.positive not in self.classes:
            raise ValueError("`positive` must name one of the two classes")
        if len(self.classes) > 2 and self.positive is not None:
            raise ValueError("`positive` applies to two classes only; leave it out")
        return self


class SplitSettings(Settings):
    """How patients are divided.

    Attributes:
        scheme: ``stratified`` (random, seeded), ``site`` (no hospital in two parts),
            ``files`` (folds that are given) or ``external`` (one fold, whose test part is
            the hospitals that are held out).
        folds: Number of folds.
        repeats: How often the whole cross-validation is repeated with other folds.
        validation: Share of each training part kept for early stopping and thresholds.
        seed: Seed of the division.
        directory: For ``files``, the folder of ``splits_<k>.csv``; ``{target}`` in it
            stands for the target's name.
        external_sites: For ``external``, the hospitals that are held out.
    """

    scheme: Literal["stratified", "site", "files", "external"] = "stratified"
    folds: int = Field(default=5, ge=2)
    repeats: PositiveInt = 1
    validation: float = Field(default=0.2, gt=0, lt=1)
    seed: NonNegativeInt = 0
    directory: str | None = None
    external_sites: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _scheme_has_what_it_needs(self) -> SplitSettings:
        if (self.scheme == "files") != (self.directory is not None):
            raise ValueError("`directory` goes with `scheme: files`, and only with it")
        if (self.scheme == "external") != bool(self.external_sites):
            raise ValueError("`external_sites` goes with `scheme: external`, and only with it")
        return self


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
        threshold: How the operating threshold is chosen on the validation patients.
        precision: ``float32``, or ``bfloat16`` autocast.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:<n>``.
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
    threshold: Literal["youden", "balanced_accuracy", "f1"] = "youden"
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")


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
        recipe: Name of the recipe that it starts from.
        network: Architecture.
        objective: Weights of the loss.
        training: Optimisation.
        teacher_training: Optimisation of teachers that are trained first, where it differs from
            ``training``, on top of which it is read.
        seeds: Seeds of this method; None for the experiment's.
    """

    recipe: str
    network: NetworkSettings
    objective: ObjectiveSettings
    training: TrainingSettings
    teacher_training: TrainingSettings | None = None
    seeds: tuple[NonNegativeInt, ...] | None = None

    @property
    def reads_genes(self) -> bool:
        """Whether the training reads genes: a network, a term of the loss, or the programmes."""
        network = self.network
        in_bags = network.programmes is not None and network.reads_slides
        return network.reads_genes or in_bags or self.objective.reads_genes

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
    def _recipe_is_known(cls, recipe: str) -> str:
        if recipe not in RECIPES:
            close = get_close_matches(recipe, RECIPES, n=5)
            meant = f"did you mean {', '.join(close)}? " if close else ""
            raise ValueError(
                f"unknown recipe {recipe!r}; {meant}`histodistill suite --list-methods` lists all"
            )
        return recipe

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        return None if seeds is None else _different(seeds)

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
    def _experts_are_trained(self) -> MethodSettings:
        networks = self.network.networks
        composed = "multimodal" in networks and self.network.multimodal == "experts"
        if self.taught_offline and composed and "genomic" not in networks:
            raise ValueError(
                "`network.multimodal: experts` with `offline: true` is made of the student and "
                "the genomic teacher: train `genomic` as well"
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
    if objective.reconstruction and student is None:
        yield "`objective.reconstruction` needs a student; train one, or set it to 0"
    if objective.group_reconstruction and student != "ghanet":
        yield "`objective.group_reconstruction` needs the student `ghanet`; or set it to 0"
    if objective.memory_alignment and student != "momkd":
        yield "`objective.memory_alignment` needs the student `momkd`; or set it to 0"


# Ways to distil that compare features one by one, or through layers of ``network.width``.
_OF_ONE_WIDTH: tuple[DistillationName, ...] = ("fitnet", "at", "crd", "vid", "tdc")


def _incomparable_features(network: NetworkSettings, objective: ObjectiveSettings) -> Iterator[str]:
    """Terms of the loss between networks whose features differ in width."""
    odd = {name for name in network.networks if getattr(network, name) in ("linear", "experts")}
    why = "needs features of `network.width`, which `linear` and `experts` do not have"
    for term in ("orthogonality", "alignment"):
        if getattr(objective, term) and odd and len(network.networks) > 1:
            yield f"`objective.{term}` {why}; set it to 0"
    taught = {"student", *objective.teachers} & set(network.networks)
    for name, weight in objective.distillation.items():
        if weight and name in _OF_ONE_WIDTH and "student" in taught and taught & odd:
            yield f"`objective.distillation.{name}` {why}; set it to 0"
    if objective.reconstruction and "student" in odd:
        yield f"`objective.reconstruction` {why}; set it to 0"


class Experiment(Settings):
    """A whole experiment.

    Attributes:
        name: What the report calls it.
        cohort: Patients and slides.
        features: Patch features; None for a cohort with genomics alone.
        genomics: Blocks by name; empty for a cohort with slides alone.
        targets: Labels by name.
        splits: Division of the patients.
        methods: Methods by name. A list of recipe names is accepted.
        baselines: Simple models that are reported beside the networks; two that cost
            seconds a fold, ``elastic-net-genomics`` and ``boosted-trees-genomics``, are there
            to be asked for.
        genes: Genes reported one by one as baselines, where the cohort has them.
        seeds: Each method is trained once for every seed.
        tuning: Inner search over learning rates and weight decays; None trains as written.
        simulated: The cohort is simulated; the report says so.
        output: Folder of the results.
    """

    name: str
    cohort: CohortSettings
    features: FeatureSettings | None = None
    genomics: dict[str, BlockSettings] = Field(default_factory=dict)
    targets: dict[str, TargetSettings] = Field(min_length=1)
    splits: SplitSettings = SplitSettings()
    methods: dict[str, MethodSettings] = Field(min_length=1)
    baselines: tuple[BaselineName, ...] = (
        "logistic-slides",
        "logistic-genomics",
        "single-gene",
    )
    genes: tuple[str, ...] = ("ESR1", "PGR", "ERBB2")
    seeds: tuple[NonNegativeInt, ...] = (0,)
    tuning: TuningSettings | None = None
    simulated: bool = False
    output: Path

    @model_validator(mode="before")
    @classmethod
    def _resolve_methods(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping) or "methods" not in raw:
            return raw
        shared = raw.get("training") or {}
        methods = raw["methods"]
        if isinstance(methods, list):
            methods = {str(name): {} for name in methods}
        if isinstance(methods, Mapping):
            methods = {name: _resolve(name, changes, shared) for name, changes in methods.items()}
        rest = {key: value for key, value in raw.items() if key != "training"}
        return rest | {"methods": methods}

    @field_validator("targets", "methods")
    @classmethod
    def _names_are_plain(cls, named: dict[str, Any]) -> dict[str, Any]:
        bad = [name for name in named if not re.fullmatch(_NAME, name) or name == _RESERVED]
        if bad:
            raise ValueError(
                f"use letters, digits and . _ + - in names (but not `{_RESERVED}`), "
                f"instead of {listed(bad)}"
            )
        return named

    @field_validator("genomics")
    @classmethod
    def _block_names_are_plain(cls, named: dict[str, Any]) -> dict[str, Any]:
        bad = [name for name in named if not re.fullmatch(_BLOCK_NAME, name)]
        if bad:
            raise ValueError(f"use letters, digits and _ + - in names, instead of {listed(bad)}")
        return named

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return _different(seeds)

    @model_validator(mode="after")
    def _inputs_suffice(self) -> Experiment:
        lacking = list(_lacking(self))
        if lacking:
            raise ValueError("\n".join(lacking))
        return self

    def seeds_of(self, method: str) -> tuple[int, ...]:
        """The seeds of a method: its own, or the experiment's."""
        own = self.methods[method].seeds
        return self.seeds if own is None else own


def _different(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if not seeds:
        raise ValueError("must not be empty")
    if len(set(seeds)) != len(seeds):
        raise ValueError("a seed is named twice")
    return seeds


def _resolve(name: str, changes: Any, shared: Any) -> Any:
    """A method's settings: recipe, then the experiment's training, then its own changes."""
    if changes is not None and not isinstance(changes, Mapping):
        return changes  # refused with all the rest that is wrong
    changes = {"recipe": name} | dict(changes or {})
    base = RECIPES.get(changes["recipe"], EMPTY)
    method = merged(merged(base, {"training": shared}), changes)
    own, teachers = method.get("training"), method.get("teacher_training")
    if isinstance(own, Mapping) and isinstance(teachers, Mapping):
        method["teacher_training"] = merged(own, teachers)
    return method


def _lacking(experiment: Experiment) -> Iterator[str]:
    """Inputs that something in the experiment reads and that are not given."""
    for name, method in experiment.methods.items():
        if method.network.reads_slides and experiment.features is None:
            yield f"method {name} reads slides: give `features`"
        if method.reads_genes and not experiment.genomics:
            yield f"method {name} reads genes: give `genomics`"
        unknown = set(method.network.blocks or ()) - set(experiment.genomics)
        if unknown and experiment.genomics:
            listing = listed(sorted(unknown))
            yield f"method {name}: `network.blocks` names {listing}, not in `genomics`"
    for name, block in experiment.genomics.items():
        if block.selection.method == "cox" and experiment.cohort.survival is None:
            yield f"genomics.{name}: selection by Cox p-value needs `cohort.survival`"


Raw = dict[str, Any]


def read_experiment(path: Path, adapted: Callable[[Raw], Raw] | None = None) -> Experiment:
    """Read and validate an experiment file; its paths are relative to its own folder.

    Args:
        path: The YAML file.
        adapted: Makes another experiment of the file's settings, before they are validated.

    Raises:
        InputError: Not YAML, or settings that are wrong, all of them at once.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {_reason(error)}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of settings")
    if adapted is not None:
        raw = adapted(raw)
    try:
        experiment = Experiment.model_validate(raw)
    except ValidationError as error:
        sentences = [
            f"{path}: {sentence}"
            for problem in error.errors()
            for sentence in _sentences(problem, raw)
        ]
        raise InputError(*dict.fromkeys(sentences)) from error
    return _absolute(experiment, path.resolve().parent)


def _reason(error: Exception) -> str:
    """What stops the reader, in one line."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {getattr(error, 'problem', '')}"


_MESSAGES = {
    "model_type": "must be a mapping of settings",
    "dict_type": "must be a mapping",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "too_short": "must not be empty",
}


def _sentences(problem: Any, raw: Mapping[str, Any]) -> list[str]:
    """A problem that pydantic found, in the words of who wrote the file."""
    where = ".".join(_location(problem["loc"], raw)) or "the experiment"
    found = problem["input"]
    if problem["type"] == "value_error":
        lines = problem["msg"].removeprefix("Value error, ").splitlines()
        return [f"{where}: {line}" for line in lines]
    if problem["type"] == "extra_forbidden":
        return [f"{where}: unknown key; check its spelling"]
    if problem["type"] == "missing":
        return [f"{where}: is missing"]
    if problem["type"] == "string_type" and isinstance(found, bool | int | float):
        # YAML reads a bare no, off or 0 as a value of its own.
        return [f"{where}: {found} is not text; write it in quotes"]
    message = _MESSAGES.get(problem["type"], problem["msg"].replace("Input should", "must"))
    shown = "" if isinstance(found, Mapping | list | tuple) else f", not {found!r}"
    return [f"{where}: {message}{shown}"]


def _location(keys: Sequence[str | int], raw: Mapping[str, Any]) -> list[str]:
    """Where a setting stands in the file: what all methods share is told once."""
    if keys[:1] == ("methods",) and keys[2:3] == ("training",):
        methods = raw["methods"]
        changes = methods.get(keys[1]) if isinstance(methods, Mapping) else None
        own = changes.get("training") if isinstance(changes, Mapping) else None
        if own is None or (len(keys) > 3 and isinstance(own, Mapping) and keys[3] not in own):
            keys = keys[2:]
    return [str(key) for key in keys]


def _absolute(experiment: Experiment, folder: Path) -> Experiment:
    """The experiment with every path made absolute."""

    def located(path: Path | None) -> Path | None:
        return None if path is None else (folder / path.expanduser()).resolve()

    cohort, features, splits = experiment.cohort, experiment.features, experiment.splits
    return experiment.model_copy(
        update={
            "cohort": cohort.model_copy(
                update={"clinical": located(cohort.clinical), "slides": located(cohort.slides)}
            ),
            "features": features
            and features.model_copy(
                update={
                    "directory": located(features.directory),
                    "cache": features.cache
                    if features.cache in ("auto", None)
                    else str(located(Path(features.cache))),
                }
            ),
            "genomics": {
                name: block.model_copy(update={"file": located(block.file)})
                for name, block in experiment.genomics.items()
            },
            "splits": splits.model_copy(
                update={
                    "directory": splits.directory
                    and str(folder / Path(splits.directory).expanduser())
                }
            ),
            "output": located(experiment.output),
        }
    )
