"""L_OR: the part of MKD that keeps modality-specific knowledge apart."""

from __future__ import annotations

from torch import Tensor


def orthogonality(first: Tensor, second: Tensor) -> Tensor:
    """``| mean_i <A_i, B_i> |``, the absolute batch mean of raw inner products.

    Source: MKD (MICCAI 2025), L_OR for one pair of networks, before the factor 1/6.

    Args:
        first: Features A, [n, d].
        second: Features B of the same patients, [n, d].
    """
    return (first * second).sum(dim=1).mean().abs()
