"""Principal components: those of scikit-learn, whichever side is longer."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from histodistill.preparation.components import principal_components


@pytest.mark.parametrize(
    ("n", "width", "number"), [(40, 300, 12), (40, 300, 39), (30, 31, 5), (60, 20, 20), (3, 9, 2)]
)
def test_scores_are_those_of_scikit_learn(n: int, width: int, number: int) -> None:
    rng = np.random.default_rng(n + width)
    values = 3 + rng.normal(size=(n, width)) * np.geomspace(1, 30, width)
    expected = PCA(number, svd_solver="full").fit_transform(values)
    found = principal_components(values, number)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


def test_patients_who_are_alike_leave_components_of_no_size() -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(3, 50)), 4, axis=0)
    found = principal_components(values, 6)
    assert found.shape == (12, 6)
    np.testing.assert_allclose(found[:, 2:], 0, atol=1e-6)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(principal_components(np.ones((5, 9)), 2), 0, atol=1e-12)
