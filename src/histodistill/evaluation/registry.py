"""The metrics that tables of results hold, and what each declares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from typing import Literal

from histodistill.evaluation.answers import Answers, FloatArray
from histodistill.registry import Declaration, Registry

Metric = Callable[[Answers, FloatArray], FloatArray]
"""A metric takes the answers for n patients and weights [B, n], each row the multiplicities of the
patients in one resample, and gives B values, NaN where it is undefined."""


@dataclass(frozen=True)
class MetricDeclaration(Declaration):
    """What a metric says of itself.

    Attributes:
        label: What tables call it; empty for its name.
        of: What it judges: the ``ranking`` of the patients, the ``calls`` at the operating
            threshold (undefined where there is none), or the ``calibration`` of the probabilities.
        bounds: Its least and its greatest value.
        smaller_is_better: Whether the best value is the smallest.
        against_rest: It judges one class against the rest: the positive one of two. Of more
            classes it is the unweighted mean over the classes, and ``NAME:CLASS`` each one's own.
        resampled: Whether its interval is a bootstrap's; False where a resample's value is biased,
            so that it would not cover what it says.
        formula: Its formula in words.
    """

    label: str = ""
    of: Literal["ranking", "calls", "calibration"] = "ranking"
    bounds: tuple[float, float] = (-inf, inf)
    smaller_is_better: bool = False
    against_rest: bool = False
    resampled: bool = True
    formula: str = ""


METRICS: Registry[Metric, MetricDeclaration] = Registry(
    "METRICS",
    "metric",
    MetricDeclaration,
    room="histodistill.evaluation.metrics",
    group="histodistill.metrics",
)

STANDARD_METRICS = METRICS.own_names()
"""The metrics of this package, which every table holds, in its order."""


def with_standard(metrics: Iterable[str]) -> tuple[str, ...]:
    """The standard metrics, then the further ones that are asked for."""
    return tuple(dict.fromkeys((*STANDARD_METRICS, *metrics)))


def without_classes(names: Iterable[str]) -> list[str]:
    """The metrics among a table's names, without those of single classes (``NAME:CLASS``)."""
    known = list(dict.fromkeys(names))
    return [n for n in known if not any(n.startswith(f"{other}:") for other in known)]


def metric_label(name: str) -> str:
    """What tables call a metric."""
    return METRICS.facts(name).label or name.rpartition(":")[2]
