"""L_OR: the part of MKD that keeps modality-specific knowledge apart."""

from __future__ import annotations

from torch import Tensor

from histodistill.model.losses.objectives.counting import mean_over_patients


def orthogonality(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """``| mean_i <A_i, B_i> |``, the absolute batch mean of raw inner products.

    Source: MKD (MICCAI 2025), L_OR for one pair of networks, before the factor 1/6.

    Args:
        first: Features A, [n, d].
        second: Features B of the same patients, [n, d].
        weight: Which patients count, [n] of 0 and 1; None for all.
    """
    return mean_over_patients((first * second).sum(dim=1), weight).abs()
