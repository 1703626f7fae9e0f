"""What a simulated cohort looks like: its size, the strength of each signal, what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar, TypeVar, overload

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from histodistill.errors import InputError, meant
from histodistill.gate.text import read_yaml, yaml_fault


@dataclass(frozen=True)
class Confounder:
    """What slides show of their label by accident, as a pen mark or a laboratory's stain would.

    Attributes:
        agreement: Probability that the slides of an ER-positive patient have it, and that those
            of an ER-negative one have not; at 0.5 it says nothing of the label.
        patch_share: Share of such a slide's patches that show it; they lie together.
        shift: Shift of those patches, along a direction of its own.
    """

    agreement: float = 0.95
    patch_share: float = 0.1
    shift: float = 4.0


@dataclass(frozen=True)
class CohortSettings:
    """Settings of every simulated cohort; the symbols are those of the equations.

    The equations stand in `histodistill.simulation.truth` (latent variables and label) and
    `histodistill.simulation.genes`. What slides show is said by the subclasses.

    Attributes:
        seed: Everything random follows from it. Cohorts of one seed that differ only in
            ``shared_signal``, ``genomic_signal`` or ``label_noise`` share their latent
            variables, slides and genes.
        n_patients: Number of patients.
        n_sites: Number of hospitals.
        n_genes: Number of genes in the expression matrix.
        shared_signal: Weight a of the latent that slides and genes both show. 0 makes the
            world in which slides carry no information about the label.
        genomic_signal: Weight b of the latent that only genes show.
        label_noise: Standard deviation σ of what no modality shows.
        positive_share: Expected share of ER-positive patients.
        gene_noise: Standard deviation of each gene's measurement.
        site_shift: Standard deviation of a hospital's offset of each gene, and of each drawn
            feature.
        share_without_genomics: Share of the patients without expression.
        share_without_label: Share of the patients with unknown ER status.
        share_with_two_slides: Share of the patients with a second slide.

    Raises:
        InputError: A setting is out of range; every one that is, at once.
    """

    _LEAST: ClassVar[dict[str, int]] = {"seed": 0, "n_patients": 2, "n_sites": 1, "n_genes": 8}
    _INNER_SHARES: ClassVar[tuple[str, ...]] = ("positive_share",)

    seed: int = 0
    n_patients: int = 160
    n_sites: int = 5
    n_genes: int = 600
    shared_signal: float = 1.0
    genomic_signal: float = 0.7
    label_noise: float = 0.3
    positive_share: float = 0.6
    gene_noise: float = 0.7
    site_shift: float = 0.3
    share_without_genomics: float = 0.1
    share_without_label: float = 0.4
    share_with_two_slides: float = 0.15

    def __post_init__(self) -> None:
        problems = [*self._out_of_range(), *self._own_problems()]
        if not (self.shared_signal or self.genomic_signal or self.label_noise):
            problems.append(
                "The simulated label has no source: give a value other than 0 to "
                "shared_signal, genomic_signal or label_noise."
            )
        if problems:
            raise InputError(*problems)

    def _own_problems(self) -> list[str]:
        """A sentence for each problem that the kinds of settings do not tell."""
        return []

    def _out_of_range(self) -> Iterator[str]:
        """A sentence for each setting that is out of the range of its kind."""
        for name, bound in self._LEAST.items():
            if getattr(self, name) < bound:
                yield _wrong(name, getattr(self, name), f"give at least {bound}")
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, float) and not isfinite(value):
                yield _wrong(name, value, "give a finite number")
            elif "share_" in name and not 0 <= value <= 1:
                yield _wrong(name, value, "give a number from 0 to 1")
        for name in self._INNER_SHARES:
            if isfinite(values[name]) and not 0 < values[name] < 1:
                yield _wrong(name, values[name], "give a number between 0 and 1, both excluded")
        for name, value in values.items():
            if name.endswith(("_noise", "_shift")) and value < 0:
                yield _wrong(name, value, "give a number that is not negative")


@dataclass(frozen=True)
class SimulationSettings(CohortSettings):
    """Settings of a cohort whose slides are drawn, as features or as images.

    Patch features: `histodistill.simulation.patches`.

    Attributes:
        width: Width F of a patch feature vector.
        min_patches: Fewest patches of a slide.
        max_patches: Most patches of a slide.
        tumour_share: Mean share of the patches in which the shared latent is visible.
        tumour_shift: Shift w of those patches for one standard deviation of the shared latent.
        distractor_shift: Shift of the other patches for one standard deviation of the distractor.
        patch_noise: Standard deviation of each feature of each patch.
        slide_noise: Standard deviation of each feature's offset of a whole slide.
        morphology_noise: Standard deviation, in drawn slides, of a slide's grade about the
            patient's shared latent.
        share_with_pen: Share of the drawn slides with a pen mark.
        confounder: What slides show of their label by accident; in drawn slides, a pen mark. None
            for nothing.

    Raises:
        InputError: A setting is out of range; every one that is, at once.
    """

    _LEAST: ClassVar[dict[str, int]] = {**CohortSettings._LEAST, "width": 2, "min_patches": 1}
    _INNER_SHARES = (*CohortSettings._INNER_SHARES, "tumour_share")

    width: int = 64
    min_patches: int = 60
    max_patches: int = 200
    tumour_share: float = 0.2
    tumour_shift: float = 2.5
    distractor_shift: float = 1.5
    patch_noise: float = 1.0
    slide_noise: float = 0.3
    morphology_noise: float = 0.5
    share_with_pen: float = 0.1
    confounder: Confounder | None = None

    def _own_problems(self) -> list[str]:
        problems = []
        if self.max_patches < self.min_patches:
            least = f"give at least min_patches, which is {self.min_patches}"
            problems.append(_wrong("max_patches", self.max_patches, least))
        return problems + _confounder_problems(self.confounder, self.width)


def _wrong(name: str, value: object, remedy: str) -> str:
    return f"The simulation setting {name} is {value}; {remedy}."


def _confounder_problems(confounder: Confounder | None, width: int) -> list[str]:
    """A sentence for each setting of a confounder that is out of range."""
    if confounder is None:
        return []
    shares = {"agreement": confounder.agreement, "patch_share": confounder.patch_share}
    problems = [
        f"The simulation setting confounder.{name} is {value}; give a number from 0 to 1."
        for name, value in shares.items()
        if not 0 <= value <= 1
    ]
    if width < 3:
        problems.append(f"A confounder needs a width of at least 3; the width is {width}.")
    if not confounder.shift >= 0:
        problems.append(
            f"The simulation setting confounder.shift is {confounder.shift}; "
            "give a number that is not negative."
        )
    return problems


Kind = TypeVar("Kind", bound=CohortSettings)


@overload
def read_settings(path: Path | None, changes: Mapping[str, Any]) -> SimulationSettings: ...


@overload
def read_settings(path: Path | None, changes: Mapping[str, Any], kind: type[Kind]) -> Kind: ...


def read_settings(
    path: Path | None,
    changes: Mapping[str, Any],
    kind: type[CohortSettings] = SimulationSettings,
) -> CohortSettings:
    """Settings from a YAML file, with changes laid over them.

    Args:
        path: A mapping of settings; None takes the defaults.
        changes: Settings that go before the file's.
        kind: The class of the settings.

    Raises:
        InputError: The file cannot be read, has unknown keys or values of another type, or a
            setting is out of range.
    """
    try:
        raw = {} if path is None else read_yaml(path)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML: {yaml_fault(error)}") from error
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of settings")
    try:
        return TypeAdapter(_strict(kind)).validate_python({**raw, **changes})
    except ValidationError as error:
        raise InputError(
            *(f"{path}: {_sentence(problem, kind)}" for problem in error.errors())
        ) from error


def _sentence(problem: Any, kind: type[CohortSettings]) -> str:
    """A problem that pydantic found, in the words of who wrote the file."""
    where, found = ".".join(map(str, problem["loc"])), problem["input"]
    if problem["type"] == "unexpected_keyword_argument":
        holder = kind if len(problem["loc"]) == 1 else Confounder  # the one group of settings
        return f"{where}: unknown key; {meant(where.split('.')[-1], _names(holder))}"
    message = problem["msg"].replace("Input should", "must").partition(", ")[0]
    return f"{where}: {message}, not {found!r}"


def _names(kind: type[CohortSettings | Confounder]) -> list[str]:
    return [field.name for field in fields(kind)]


_strict = with_config(ConfigDict(extra="forbid"))
_strict(Confounder)
