"""Validation figures and early stopping."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodistill.evaluation import roc_auc
from histodistill.inference import Probabilities

Figures = dict[str, float]

_SMALLEST = np.finfo(np.float64).tiny


def validation_figures(answers: Probabilities, labels: NDArray[np.int64]) -> Figures:
    """``<network>_auc`` and ``<network>_loss`` of each network, and their summed ``loss``.

    A network is judged on the patients that it can answer. The AUC is NaN where a class is
    missing among them.

    Args:
        answers: For each network [n, C] probabilities, NaN where it cannot answer.
        labels: Class indices, [n].
    """
    figures: Figures = {}
    for name, probabilities in answers.items():
        able = ~np.isnan(probabilities[:, 0])
        mine, known = probabilities[able], labels[able]
        figures[f"{name}_auc"] = roc_auc(known, mine) if able.any() else np.nan
        of_label = mine[np.arange(len(known)), known].clip(_SMALLEST)
        figures[f"{name}_loss"] = float(-np.log(of_label).mean()) if able.any() else np.nan
    figures["loss"] = sum(v for k, v in figures.items() if k.endswith("_loss"))
    return figures


@dataclass
class EarlyStopping:
    """Keeps the best epoch by one figure, and says when to stop.

    Attributes:
        monitor: Figure to watch; an AUC is to rise, a loss to fall.
        patience: Epochs without a better figure before stopping.
        best: Best figure so far.
        best_epoch: Its epoch, -1 before the first.
        waited: Epochs since.
    """

    monitor: str
    patience: int
    best: float = float("-inf")
    best_epoch: int = -1
    waited: int = 0

    def update(self, epoch: int, figures: Figures) -> bool:
        """Take in an epoch's figures; True where it is the best so far."""
        figure = figures[self.monitor] * (1 if self.monitor.endswith("_auc") else -1)
        if figure > self.best:
            self.best, self.best_epoch, self.waited = figure, epoch, 0
            return True
        self.waited += 1
        return False

    @property
    def stops(self) -> bool:
        """Whether patience is spent."""
        return self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """All attributes, to be stored."""
        return asdict(self)
