"""One experiment = one YAML file, validated here; unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
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

from histodistill.errors import InputError
from histodistill.experiment.recipes import RECIPES, merged
from histodistill.model import NetworkSettings, ObjectiveSettings
from histodistill.settings import Settings

# Names become folders, columns and rows of tables.
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"


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
        memory_gb: Bags are kept in memory when the cohort needs no more than this.
    """

    directory: Path
    standardise: bool = False
    memory_gb: PositiveFloat = 8.0


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
    classes: tuple[str, ...] = Field(min_length=2)
    positive: str | None = None

    @model_validator(mode="after")
    def _positive_is_a_class(self) -> TargetSettings:
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
    patches: PositiveInt | None = None
    threshold: Literal["youden", "balanced_accuracy", "f1"] = "youden"
    precision: Literal["float32", "bfloat16"] = "float32"
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")


class MethodSettings(Settings):
    """A method: a recipe and what the experiment changes in it.

    Attributes:
        recipe: Name of the recipe that it starts from.
        network: Architecture.
        objective: Weights of the loss.
        training: Optimisation.
    """

    recipe: str
    network: NetworkSettings
    objective: ObjectiveSettings
    training: TrainingSettings

    @model_validator(mode="after")
    def _monitors_a_trained_network(self) -> MethodSettings:
        monitored = self.training.monitor.rpartition("_")[0]
        if monitored and monitored not in self.network.networks:
            raise ValueError(
                f"`monitor: {self.training.monitor}` names a network that is not trained; "
                f"trained are {', '.join(self.network.networks)}"
            )
        return self


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
        baselines: Simple models that are reported beside the networks.
        genes: Genes reported one by one as baselines, where the cohort has them.
        seeds: Each method is trained once for every seed.
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
    baselines: tuple[Literal["logistic-slides", "logistic-genomics", "single-gene"], ...] = (
        "logistic-slides",
        "logistic-genomics",
        "single-gene",
    )
    genes: tuple[str, ...] = ("ESR1", "PGR", "ERBB2")
    seeds: tuple[NonNegativeInt, ...] = Field(default=(0,), min_length=1)
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
        if not isinstance(methods, Mapping):
            raise TypeError("`methods` must be a list of recipes or a mapping")
        resolved = {
            name: _resolve(name, overrides or {}, shared) for name, overrides in methods.items()
        }
        rest = {key: value for key, value in raw.items() if key != "training"}
        return rest | {"methods": resolved}

    @field_validator("targets", "methods", "genomics")
    @classmethod
    def _names_are_plain(cls, named: dict[str, Any]) -> dict[str, Any]:
        bad = [name for name in named if not re.match(_NAME, name)]
        if bad:
            raise ValueError(f"use letters, digits and . _ + - in names, not {bad[0]!r}")
        return named

    @model_validator(mode="after")
    def _inputs_suffice(self) -> Experiment:
        for name, method in self.methods.items():
            if method.network.reads_slides and self.features is None:
                raise ValueError(f"method {name} reads slides: give `features`")
            if method.network.reads_genes and not self.genomics:
                raise ValueError(f"method {name} reads genes: give `genomics`")
        for name, block in self.genomics.items():
            if block.selection.method == "cox" and self.cohort.survival is None:
                raise ValueError(
                    f"genomics.{name}: selection by Cox p-value needs `cohort.survival`"
                )
        return self


def _resolve(name: str, overrides: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """A method's settings: recipe, then the experiment's training, then its own changes."""
    recipe = overrides.get("recipe", name)
    if recipe not in RECIPES:
        raise ValueError(f"unknown recipe {recipe!r}; known are {', '.join(RECIPES)}")
    base = merged(RECIPES[recipe], {"training": dict(shared)})
    return merged(base, {**overrides, "recipe": recipe})


def read_experiment(path: Path) -> Experiment:
    """Read and validate an experiment file; its paths are relative to its own folder.

    Raises:
        InputError: Not YAML, or settings that are wrong, all of them at once.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {error}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of settings")
    try:
        experiment = Experiment.model_validate(raw)
    except ValidationError as error:
        raise InputError(*(_sentence(path, problem) for problem in error.errors())) from error
    return _absolute(experiment, path.resolve().parent)


def _sentence(path: Path, problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"]) or "the experiment"
    if problem["type"] == "extra_forbidden":
        return f"{path}: {where}: unknown key; check its spelling"
    return f"{path}: {where}: {problem['msg'].removeprefix('Value error, ')}"


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
            and features.model_copy(update={"directory": located(features.directory)}),
            "genomics": {
                name: block.model_copy(update={"file": located(block.file)})
                for name, block in experiment.genomics.items()
            },
            "splits": splits.model_copy(
                update={"directory": splits.directory and str(folder / splits.directory)}
            ),
            "output": located(experiment.output),
        }
    )
