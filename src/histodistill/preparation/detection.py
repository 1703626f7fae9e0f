"""The first programme, told by ridge regression and by detectors of patches together.

Which of the two is read, and how much, is decided by answers to training patients whom neither has
seen: where rare patches carry the signal the regression may count for nothing, and where they
carry none the detectors do, and are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from histodistill.preparation.predicted_genes import Regression, numbered

# Detectors are read whose correlation with the programme is this part of the best one's, or more.
_AGREEING = 0.9
# What is told of a patient is learnt without a part of the patients, which it belongs to.
_PARTS = 3


@dataclass(frozen=True)
class Detection:
    """How the first programme is told by ridge regression and by detectors together.

    Attributes:
        regression: Factor of the regression's answer.
        weight: Of each detector's mean, in units of the measured programme: float64 [m]; empty
            where detectors add nothing to the regression.
    """

    regression: float
    weight: NDArray[np.float64]

    def regressed(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """The columns of means [n, D + m] that the regression reads, which come first: [n, D]."""
        return means[:, : means.shape[1] - len(self.weight)]

    def joined(self, weight: NDArray[np.float64], unit: float = 1.0) -> NDArray[np.float64]:
        """Weights [D, k] of the regression with those of detectors below them, [D + m, k]."""
        both = np.vstack([weight, np.zeros((len(self.weight), weight.shape[1]))])
        both[:, 0] *= self.regression
        both[len(weight) :, 0] = self.weight / unit
        return both


def parts_of(groups: Sequence[str]) -> NDArray[np.int64]:
    """The part of each patient, [n]; a hospital is in one alone, as where genes are judged."""
    group = numbered(groups)
    return (np.arange(len(groups)) if group is None else group) % _PARTS


def fit_detection(
    means: NDArray[np.float64],
    told: NDArray[np.float64],
    scores: NDArray[np.float64],
    regression: Regression,
    part: NDArray[np.int64],
) -> Detection:
    """Weights by which the first programme is predicted best of patients who taught neither.

    Args:
        means: What the regression reads of each patient, [n, D].
        told: What detectors say of each that were found without its part, [n, m].
        scores: Measured programmes, [n, k].
        regression: How patches are mapped to scores.
        part: Of each patient, [n].
    """
    from scipy.optimize import nnls

    answers = np.empty(len(means))
    for number in np.unique(part):
        out = part == number
        slope, constant = regression(means[~out], scores[~out] - scores[~out].mean(axis=0))
        answers[out] = (means[out] @ slope + constant)[:, 0]
    first = scores[:, 0]
    combined = agreeing(told, first)
    both = np.column_stack([answers, told @ combined])
    factors, _ = nnls(both - both.mean(axis=0), first)
    weight = factors[1] * combined
    return Detection(float(factors[0]), weight if weight.any() else weight[:0])


def agreeing(told: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights [m] of the detectors that follow a score about as well as the best of them do."""
    deviation = np.maximum(told.std(axis=0), 1e-12)
    correlation = ((told - told.mean(axis=0)) / deviation * score[:, None]).mean(axis=0)
    # Those of the second kind are many where the score is low: half of the columns of each share.
    sign = np.tile([1.0, -1.0], told.shape[1] // 2)
    good = correlation * sign
    chosen = good >= _AGREEING * max(float(good.max()), 1e-12)
    return np.where(chosen, sign / deviation, 0.0)
