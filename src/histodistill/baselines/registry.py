"""The simple models that an experiment may name beside its methods."""

from __future__ import annotations

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
