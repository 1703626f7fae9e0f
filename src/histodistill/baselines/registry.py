"""The simple models that an experiment may name beside its methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from histodistill.registry import Declaration, Registry

if TYPE_CHECKING:
    from histodistill.baselines.interface import Baseline


@dataclass(frozen=True)
class BaselineDeclaration(Declaration):
    """What a baseline says of itself.

    Attributes:
        reads: ``slides``, the mean patch of a patient; ``genomics``, all genes of a block; or
            ``genes``, of which it is told the names. Those that read genes stand once for each
            block.
    """

    reads: Literal["slides", "genomics", "genes"] = "genomics"


BASELINES: Registry[type[Baseline], BaselineDeclaration] = Registry(
    "BASELINES",
    "baseline",
    BaselineDeclaration,
    room="histodistill.baselines",
    group="histodistill.baselines",
)


def build_baseline(name: str, inputs: Sequence[str], n_classes: int) -> Baseline:
    """A baseline that is not fitted yet; one that reads ``genes`` is told their names first.

    Args:
        name: The baseline's.
        inputs: Names of the values of a patient.
        n_classes: Number C of classes.
    """
    baseline = BASELINES.load(name)
    if BASELINES.facts(name).reads == "genes":
        return baseline(list(inputs), n_classes=n_classes)  # type: ignore[arg-type,misc]
    return baseline(n_classes=n_classes)
