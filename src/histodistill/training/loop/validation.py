"""Validation figures and early stopping."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histodistill.evaluation import roc_auc
from histodistill.inference import Probabilities
from histodistill.model.heads import ONE_TARGET, Head, Heads, n_classes_of, shares

Figures = dict[str, float]
Floats = NDArray[np.float64]

_SMALLEST = np.finfo(np.float64).tiny


def validation_figures(
    answers: Probabilities, labels: NDArray[np.int64], heads: Heads = ONE_TARGET
) -> Figures:
    """``<network>_auc`` and ``<network>_loss`` of each network, and their summed ``loss``.

    A network is judged on the patients that it can answer. The AUC is NaN where a class is
    missing among them. Of several targets, a figure is the weighted mean over those for which it
    is known.

    Args:
        answers: For each network [n, C] probabilities, of several targets those of each side by
            side; NaN where it cannot answer.
        labels: Class indices, [n], of T targets [n, T]; -1 where unknown.
        heads: Which probabilities answer which target.
    """
    figures: Figures = {}
    for name, probabilities in answers.items():
        of_targets = [
            _figures_of(*of_target) for of_target in _by_head(probabilities, labels, heads)
        ]
        for figure in ("auc", "loss"):
            figures[f"{name}_{figure}"] = _mean([own[figure] for own in of_targets], shares(heads))
    figures["loss"] = sum(v for k, v in figures.items() if k.endswith("_loss"))
    return figures


def _by_head(
    probabilities: Floats, labels: NDArray[np.int64], heads: Heads
) -> Iterator[tuple[Floats, NDArray[np.int64], Head]]:
    """Probabilities and labels of each target."""
    if len(heads) == 1:
        yield probabilities, labels, heads[0]
        return
    ends = np.cumsum(n_classes_of(heads))[:-1]
    parts = np.split(probabilities, ends, axis=1)
    yield from zip(parts, labels.T, heads, strict=True)


def _figures_of(probabilities: Floats, labels: NDArray[np.int64], head: Head) -> dict[str, float]:
    """AUC and loss of one target; NaN where no patient with a label is answered."""
    able = ~np.isnan(probabilities[:, 0]) & (labels >= 0)
    if not able.any():
        return {"auc": np.nan, "loss": np.nan}
    mine, known = probabilities[able], labels[able]
    of_patients = _ordered_loss if head.ordered else _loss
    return {"auc": roc_auc(known, mine), "loss": float(of_patients(mine, known).mean())}


def _loss(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Cross-entropy of each patient, [n]."""
    return np.asarray(-np.log(probabilities[np.arange(len(labels)), labels].clip(_SMALLEST)))


def _ordered_loss(probabilities: Floats, labels: NDArray[np.int64]) -> Floats:
    """Mean over the cuts of the cross-entropy of each patient, [n], as the training's loss."""
    below = probabilities.cumsum(axis=1)[:, :-1]
    above = probabilities[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    side = np.where(labels[:, None] > np.arange(below.shape[1]), above, below)
    return np.asarray(-np.log(side.clip(_SMALLEST)).mean(axis=1))


def _mean(figures: Sequence[float], weights: Sequence[float]) -> float:
    """Weighted mean of the figures that are known; NaN where none is."""
    pairs = zip(figures, weights, strict=True)
    known = [(value, weight) for value, weight in pairs if not np.isnan(value)]
    if len(known) == 1:
        return known[0][0]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if known else np.nan


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
