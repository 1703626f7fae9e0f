"""Operating thresholds, from patients whom a model was not fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from histodistill.cohort import Target
from histodistill.evaluation import ThresholdRule, choose_threshold
from histodistill.inference import Probabilities
from histodistill.model import NetworkName


def thresholds_for(
    target: Target, answers: Probabilities, labels: NDArray[np.int64], rule: ThresholdRule
) -> dict[NetworkName, float]:
    """Operating threshold of each network on validation patients; none beyond two classes.

    Args:
        target: Classes.
        answers: Class probabilities by network, [n, C].
        labels: Class indices, [n]; -1 where unknown, whose patients do not count.
        rule: How a threshold is chosen.
    """
    if target.positive is None:
        return {}
    positive = target.classes.index(target.positive)
    thresholds: dict[NetworkName, float] = {}
    for name, answer in answers.items():
        able = ~np.isnan(answer[:, positive]) & (labels >= 0)
        cases = labels[able] == positive
        thresholds[name] = choose_threshold(cases, answer[able, positive], rule)
    return thresholds
