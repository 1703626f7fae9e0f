"""L_CORAL: the part of MKD that aligns modality-general knowledge."""

from __future__ import annotations

from torch import Tensor


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared difference of the means, plus that of the covariances, of two batches.

    ``mean_d (mu_A - mu_B)^2 + mean_dxd (C_A - C_B)^2``, C with 1 / (n - 1).

    Source: MKD (MICCAI 2025), L_CORAL for one pair; after Sun & Saenko, "Deep CORAL",
    ECCV workshops 2016, eq. 1.

    Args:
        first: Features A, [n, d], n >= 2.
        second: Features B of the same patients, [n, d].
    """
    means = (first.mean(dim=0) - second.mean(dim=0)).square().mean()
    covariances = (_covariance(first) - _covariance(second)).square().mean()
    return means + covariances


def _covariance(features: Tensor) -> Tensor:
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)
