"""What a method learns on a fold: one target, or several together."""

from __future__ import annotations

from dataclasses import dataclass

from histodistill.experiment.heads import heads_of
from histodistill.experiment.methods import MethodSettings
from histodistill.model.heads import Heads
from histodistill.training.fold.fold_data import FoldData


@dataclass(frozen=True)
class Lesson:
    """The targets that networks learn, each with a head of its own.

    Attributes:
        targets: Targets that are learnt together; empty for the fold's own alone.
        heads: Which logits answer which target.
    """

    targets: tuple[str, ...]
    heads: Heads

    def place(self, target: str) -> int:
        """Which of the heads answers a target."""
        return self.targets.index(target) if self.targets else 0


def lesson_of(method: MethodSettings, inputs: FoldData) -> Lesson:
    """What a method learns on a fold.

    A target that the method learns with others is learnt with them on its own folds: nobody who
    is tested for it teaches anything, whatever else is known of them.
    """
    together = method.learnt_with(inputs.target)
    heads = heads_of(method, inputs.targets, inputs.target)
    return Lesson(together if len(together) > 1 else (), heads)
