"""Where each patient lies among the others: the two directions in which they differ most."""

from __future__ import annotations

import numpy as np

from histodistill.viewer.layers import Floats


def feature_map(features: Floats) -> tuple[Floats, tuple[float, float]]:
    """Principal components of patients.

    Args:
        features: What the model made of each patient, [n, d].

    Returns:
        Places [n, 2], and the share of the variance that each axis shows.
    """
    centred = features - features.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(features), 2))
    shown = min(2, len(sizes))
    places[:, :shown] = left[:, :shown] * sizes[:shown]
    total = float((sizes**2).sum()) or 1.0
    shares = [float(size**2) / total for size in (*sizes[:2], 0.0, 0.0)]
    return places, (shares[0], shares[1])
