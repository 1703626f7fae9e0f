"""The penalty of a ridge regression, by leave-one-out prediction, for many penalties at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def best_penalty(inputs: Matrix, answers: Matrix, penalties: Sequence[float] | Matrix) -> float:
    """The penalty under which rows that are left out are predicted best, of the whole answers.

    scikit-learn's ``RidgeCV`` chooses the same. It takes the products with all rows anew for each
    penalty, which was the dearest step of the recommended recipe; here one rotation serves them
    all.

    Args:
        inputs: Columns of mean 0, [n, F].
        answers: Columns of mean 0, [n, k].
        penalties: Those that are tried, above 0.

    Returns:
        The first of the best.
    """
    tried = np.asarray(penalties, dtype=np.float64)
    rotated, squares = _rotated(inputs)
    shrinkage = 1 / (squares[:, None] + tried)
    # One less each row's share in its own prediction, an intercept's 1/n included.
    of_others = 1 - 1 / len(inputs) - np.square(rotated) @ shrinkage
    projected = rotated.T @ answers
    errors = [
        np.square((answers - rotated @ (factors[:, None] * projected)) / others[:, None]).sum()
        for factors, others in zip(shrinkage.T, of_others.T, strict=True)
    ]
    return float(tried[np.argmin(errors)])


def _rotated(inputs: Matrix) -> tuple[Matrix, Matrix]:
    """The rows [n, r] in the axes of their own spread, and the sum of squares [r] along each."""
    n, width = inputs.shape
    if n < width:
        squares, rows = np.linalg.eigh(inputs @ inputs.T)
        squares = squares.clip(min=0)
        return rows * np.sqrt(squares), squares
    squares, axes = np.linalg.eigh(inputs.T @ inputs)
    return inputs @ axes, squares.clip(min=0)
