"""What a method's networks answer: one target, or several that are learnt together."""

from __future__ import annotations

from collections.abc import Mapping

from histodistill.cohort import Target
from histodistill.experiment.methods import MethodSettings
from histodistill.model.heads import Head, Heads


def heads_of(method: MethodSettings, targets: Mapping[str, Target], target: str) -> Heads:
    """A head for a target, and for each that the method learns with it.

    Args:
        method: The method.
        targets: All targets of the experiment.
        target: One of them.
    """
    together = method.learnt_with(target)
    if len(together) < 2:
        return (_head(targets[target], 1.0),)
    return tuple(_head(targets[name], method.joint[name]) for name in together)


def _head(target: Target, weight: float) -> Head:
    return Head(len(target.classes), target.ordered, weight)
