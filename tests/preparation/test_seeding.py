"""First centres: those of scikit-learn's greedy k-means++, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans, kmeans_plusplus

from histodistill.preparation.seeding import first_centres


def patches(n: int, width: int, seed: int, offset: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    tissues = 3 * rng.normal(size=(5, width)) + offset
    return (tissues[rng.integers(0, 5, n)] + rng.normal(size=(n, width))).astype(np.float32)


@pytest.mark.parametrize(
    ("n", "width", "number", "offset"),
    [
        (400, 16, 20, 0.0),
        (3000, 64, 40, 0.0),
        (50, 3, 50, 0.0),
        (500, 8, 1, 0.0),
        (700, 8, 9, 50.0),
    ],
)
def test_centres_are_those_of_scikit_learn(n: int, width: int, number: int, offset: float) -> None:
    rows = patches(n, width, seed=n, offset=offset)
    found = first_centres(rows, number, np.random.RandomState(7))
    expected, _ = kmeans_plusplus(rows, number, random_state=np.random.RandomState(7))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


def test_patches_that_are_all_alike_give_centres() -> None:
    found = first_centres(np.ones((30, 4), np.float32), 5, np.random.RandomState(0))
    np.testing.assert_array_equal(found, np.ones((5, 4)))


def test_prototypes_stay_those_of_the_library() -> None:
    rows = patches(6000, 12, seed=3)
    means = [
        MiniBatchKMeans(30, init=init, batch_size=512, max_iter=5, n_init=1, random_state=0)
        for init in ("k-means++", first_centres)
    ]
    theirs, ours = (each.fit(rows).cluster_centers_ for each in means)
    np.testing.assert_array_equal(ours, theirs)
