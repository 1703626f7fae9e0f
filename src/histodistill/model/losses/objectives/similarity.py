"""SKD: similarity-preserving distillation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize

from histodistill.model.losses.objectives.counting import count, weighted


def similarity(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """``1 / n^2 || rn(A A^T) - rn(B B^T) ||_F^2``, rn dividing each row by its L2 norm.

    Source: Tung & Mori, "Similarity-preserving knowledge distillation", ICCV 2019, eq. 2-4.
    Nothing is detached, as in MKD (MICCAI 2025).

    Args:
        first: Features A, [n, d].
        second: Features B of the same patients, [n, d].
        weight: Which patients count, [n] of 0 and 1; None for all.
    """
    difference = _similarities(first, weight) - _similarities(second, weight)
    return difference.square().sum() / count(first, weight) ** 2


def _similarities(features: Tensor, weight: Tensor | None) -> Tensor:
    mine = weighted(features, weight)
    return normalize(mine @ mine.T, dim=1)
