"""SKD: similarity-preserving distillation."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """``1 / n^2 || rn(A A^T) - rn(B B^T) ||_F^2``, rn dividing each row by its L2 norm.

    Source: Tung & Mori, "Similarity-preserving knowledge distillation", ICCV 2019, eq. 2-4.
    Nothing is detached, as in MKD (MICCAI 2025).

    Args:
        first: Features A, [n, d].
        second: Features B of the same patients, [n, d].
    """
    difference = normalize(first @ first.T, dim=1) - normalize(second @ second.T, dim=1)
    return difference.square().mean()
