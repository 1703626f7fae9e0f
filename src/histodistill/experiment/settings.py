"""One experiment = one YAML file, validated here; unknown keys are refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeInt,
    field_validator,
    model_validator,
)

from histodistill.baselines.registry import BASELINES
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.calibration.triage import TriagePolicy
from histodistill.cohort import Target, with_names
from histodistill.errors import Problems, listed
from histodistill.evaluation.registry import METRICS
from histodistill.evaluation.scores import require_metrics
from histodistill.experiment.inputs import (
    BlockSettings,
    CohortSettings,
    FeatureSettings,
)
from histodistill.experiment.methods import (
    MethodSettings,
    TuningSettings,
    different_seeds,
    resolved_method,
    told_with_the_rest,
)
from histodistill.experiment.splits import SplitSettings
from histodistill.settings import Settings

# Names become folders, columns and rows of tables; those of blocks also parts of the networks,
# where a point would divide them.
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
_BLOCK_NAME = r"[A-Za-z0-9][A-Za-z0-9_+-]*"
# A folder of a run that is no method's.
_RESERVED = "baselines"

BaselineName = Annotated[str, AfterValidator(BASELINES.check)]
MetricName = Annotated[str, AfterValidator(METRICS.check)]


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
        metrics: Metrics that reports hold beside the standard ones: names of installed packages,
            or import paths such as ``my_package.metrics:f2``. They change no training.
        seeds: Each method is trained once for every seed.
        calibration: Calibrators of the networks' probabilities.
        triage: Whom a final model may release from the test; None lets `predict` say it.
        tuning: Inner search over learning rates and weight decays; None trains as written.
        simulated: The cohort is simulated; the report says so.
        output: Folder of the results.
    """

    name: str
    cohort: CohortSettings
    features: FeatureSettings | None = None
    genomics: dict[str, BlockSettings] = Field(default_factory=dict)
    targets: Annotated[dict[str, Target], BeforeValidator(with_names)] = Field(min_length=1)
    splits: SplitSettings = SplitSettings()
    methods: dict[str, MethodSettings] = Field(min_length=1)
    baselines: tuple[BaselineName, ...] = (
        "logistic-slides",
        "logistic-genomics",
        "single-gene",
    )
    genes: tuple[str, ...] = ("ESR1", "PGR", "ERBB2")
    metrics: tuple[MetricName, ...] = ()
    seeds: tuple[NonNegativeInt, ...] = (0,)
    calibration: CalibrationSettings = CalibrationSettings()
    triage: TriagePolicy | None = None
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
            targets = raw.get("targets")
            names = [str(name) for name in targets] if isinstance(targets, Mapping) else []
            methods = {
                name: resolved_method(name, changes, shared, names)
                for name, changes in methods.items()
            }
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

    @field_validator("metrics")
    @classmethod
    def _metrics_work(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        with told_with_the_rest():
            require_metrics(names)
        return names

    @field_validator("baselines")
    @classmethod
    def _baselines_are_there(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        problems = Problems()
        for name in names:
            problems.attempt(partial(BASELINES.facts, name))
        with told_with_the_rest():
            problems.raise_any()
        return names

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        return different_seeds(seeds)

    @model_validator(mode="after")
    def _calibrators_know_the_classes(self) -> Experiment:
        method = self.calibration.method
        more = [name for name, target in self.targets.items() if target.positive is None]
        if more and method not in ("auto", "none"):
            raise ValueError(
                f"`calibration.method: {method}` is for two classes, and {listed(more)} has more; "
                "take auto"
            )
        return self

    @model_validator(mode="after")
    def _joint_targets_are_there(self) -> Experiment:
        problems = []
        for name, method in self.methods.items():
            unknown = [target for target in method.joint if target not in self.targets]
            if unknown:
                problems.append(
                    f"method {name}: `joint` names {listed(unknown)}, which is no target; targets "
                    f"are {listed(list(self.targets))}"
                )
            by_label = [b for b, s in self.genomics.items() if s.selection.method == "univariate"]
            if len(method.joint) > 1 and by_label and method.reads_genes:
                problems.append(
                    f"method {name}: `joint` learns several targets from the same genes, and "
                    f"`selection.method: univariate` of {listed(by_label)} chooses them for one; "
                    "take another selection"
                )
        if problems:
            raise ValueError("\n".join(problems))
        return self

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
