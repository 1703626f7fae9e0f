"""L_CORAL: the part of MKD that aligns modality-general knowledge."""

from __future__ import annotations

from torch import Tensor

from histodistill.model.losses.objectives.counting import count, mean_over_patients, weighted


def alignment(first: Tensor, second: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared difference of the means, plus that of the covariances, of two batches.

    ``mean_d (mu_A - mu_B)^2 + mean_dxd (C_A - C_B)^2``, C with 1 / (n - 1).

    Source: MKD (MICCAI 2025), L_CORAL for one pair; after Sun & Saenko, "Deep CORAL",
    ECCV workshops 2016, eq. 1.

    Args:
        first: Features A, [n, d], n >= 2.
        second: Features B of the same patients, [n, d].
        weight: Which patients count, [n] of 0 and 1, at least two of them; None for all.
    """
    means = mean_over_patients(first, weight) - mean_over_patients(second, weight)
    covariances = _covariance(first, weight) - _covariance(second, weight)
    return means.square().mean() + covariances.square().mean()


def _covariance(features: Tensor, weight: Tensor | None) -> Tensor:
    centred = weighted(features - mean_over_patients(features, weight), weight)
    return centred.T @ centred / (count(features, weight) - 1)
