"""Venn-Abers: an interval of probabilities that holds whatever the distribution of the scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from histodistill.calibration.calibrator import Calibrator, CalibratorName, Floats


class VennAbersCalibrator(Calibrator):
    """Two staircases, one for each label that a new patient might have, merged.

    Source: Vovk, Petej & Fedorova, "Large-scale probabilistic predictors with and without
    guarantees of validity", NeurIPS 2015 (inductive Venn-Abers); merged for the log loss, eq. 4:
    ``p1 / (1 - p0 + p1)``. The width ``p1 - p0`` tells how little is known there.

    Args:
        scores: Probabilities of the calibration patients, ascending distinct [k].
        lower: p0 at each place: before, at and between the scores, [2 k + 1].
        upper: p1 there.
    """

    name: ClassVar[CalibratorName] = "venn-abers"

    def __init__(self, scores: npt.ArrayLike, lower: npt.ArrayLike, upper: npt.ArrayLike) -> None:
        self._scores = np.asarray(scores, dtype=np.float64)
        self._lower = np.asarray(lower, dtype=np.float64)
        self._upper = np.asarray(upper, dtype=np.float64)

    @classmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """See :meth:`Calibrator.fit`. All places that a new patient can have are fitted now."""
        known, scores = np.asarray(y, np.float64), np.asarray(p, np.float64)
        distinct, group = np.unique(scores, return_inverse=True)
        weights = np.bincount(group).astype(np.float64)
        positives = np.bincount(group, weights=known).astype(np.float64)
        before = _stacks(weights, positives, rising=True)
        after = _stacks(weights[::-1], positives[::-1], rising=False)[::-1]
        lower, upper = (list(_values(weights, positives, before, after, label)) for label in (0, 1))
        return cls(distinct, lower, upper)

    def limits(self, p: npt.ArrayLike) -> tuple[Floats, Floats]:
        """p0 and p1, [n] each."""
        values = np.asarray(p, dtype=np.float64)
        left = np.searchsorted(self._scores, values, side="left")
        right = np.searchsorted(self._scores, values, side="right")
        place = left + right
        return self._lower[place], self._upper[place]

    def transform(self, p: npt.ArrayLike) -> Floats:
        """See :meth:`Calibrator.transform`."""
        lower, upper = self.limits(p)
        merged = upper / (1 - lower + upper)
        return np.where(np.isnan(np.asarray(p, np.float64)), np.nan, merged)

    def to_dict(self) -> dict[str, Any]:
        """Scores and both staircases."""
        return {
            "scores": self._scores.tolist(),
            "lower": self._lower.tolist(),
            "upper": self._upper.tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
        return cls(values["scores"], values["lower"], values["upper"])


class _Block(NamedTuple):
    """Neighbouring scores that isotonic regression pools, on top of the blocks behind them."""

    weight: float
    positives: float
    rest: _Block | None

    @property
    def mean(self) -> float:
        return self.positives / self.weight


def _stacks(
    weights: npt.ArrayLike, positives: npt.ArrayLike, *, rising: bool
) -> list[_Block | None]:
    """Isotonic regression of the first 0, 1, ... k scores; each result shares what it can.

    Pool adjacent violators, whose blocks are kept as linked lists: the fit of k scores is that of
    k - 1 with its last blocks pooled.
    """
    stacks: list[_Block | None] = [None]
    for weight, positive in zip(np.asarray(weights), np.asarray(positives), strict=True):
        top = _Block(float(weight), float(positive), stacks[-1])
        while top.rest is not None and _violates(top.rest, top, rising=rising):
            top = _pooled(top, top.rest)
        stacks.append(top)
    return stacks


def _violates(nearer_the_end: _Block, block: _Block, *, rising: bool) -> bool:
    if rising:
        return nearer_the_end.mean >= block.mean
    return nearer_the_end.mean <= block.mean


def _pooled(block: _Block, other: _Block) -> _Block:
    """Both as one, on top of what lay behind the other."""
    return _Block(block.weight + other.weight, block.positives + other.positives, other.rest)


def _values(
    weights: Floats,
    positives: Floats,
    before: Sequence[_Block | None],
    after: Sequence[_Block | None],
    label: int,
) -> Iterator[float]:
    """What one more patient of this label is given before, at and between the scores."""
    for k in range(len(weights) + 1):
        yield _joined(_Block(1, label, before[k]), after[k])
        if k < len(weights):
            at = _Block(float(weights[k]) + 1, float(positives[k]) + label, before[k])
            yield _joined(at, after[k + 1])


def _joined(block: _Block, after: _Block | None) -> float:
    """The value of a block between the blocks below it and those above it."""
    while True:
        if block.rest is not None and block.rest.mean >= block.mean:
            block = _pooled(block, block.rest)
        elif after is not None and after.mean <= block.mean:
            block = _Block(
                block.weight + after.weight, block.positives + after.positives, block.rest
            )
            after = after.rest
        else:
            return block.mean
