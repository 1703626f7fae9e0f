"""How much the patches of a bag differ, beside what bags differ from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Where bags differ more than the patches of one do, what is found among patches is patients, not
# tissue: no prototypes and no detectors are made of them.
LEAST_WITHIN_BAGS = 0.5


def share_within(bags: Sequence[NDArray[np.float32]]) -> float:
    """Share of the variance of patches that lies within bags, each of which counts alike.

    Args:
        bags: Patches of each, float32 [n, F].
    """
    means = [bag.mean(axis=0) for bag in bags]
    between = float(np.array(means, np.float64).var(axis=0).sum())
    within = float(np.mean([_variance(bag - mean) for bag, mean in zip(bags, means, strict=True)]))
    return within / max(within + between, 1e-12)


def _variance(deviations: NDArray[np.float32]) -> float:
    """The sum over all features of what deviations [n, F] from their mean make of a variance."""
    return float(deviations.ravel() @ deviations.ravel()) / len(deviations)


def patches_differ(share: float) -> bool:
    """Whether patches differ enough within bags for tissue to be told apart among them.

    Args:
        share: What :func:`share_within` says.
    """
    return share >= LEAST_WITHIN_BAGS
