"""The parts of a predictions table: each target, method and network by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd

from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.layout import networks_in, target_classes
from histodistill.evaluation.runs import Runs, runs_of


class Part(NamedTuple):
    """One target, method and network: the method's rows and the target's classes."""

    target: str
    method: str
    network: str
    rows: pd.DataFrame
    classes: tuple[str, ...]

    def answers(self, rows: pd.DataFrame) -> Answers:
        """The network's answers in some of the rows."""
        return answers_of(rows, self.network, self.classes)

    def runs(self) -> Runs:
        """The network's answers, a run a seed and repeat."""
        return runs_of(self.rows, self.network, self.classes)


def parts(predictions: pd.DataFrame) -> Iterator[Part]:
    """Every part, in the order of a checked predictions table."""
    for target, of_target in predictions.groupby("target", sort=False):
        classes = target_classes(of_target)
        for method, rows in of_target.groupby("method", sort=False):
            for network in networks_in(rows):
                yield Part(str(target), str(method), network, rows, classes)
