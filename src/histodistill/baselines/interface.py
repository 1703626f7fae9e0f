"""What a baseline is, and the checks that all of them share."""

from __future__ import annotations

from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from histodistill.errors import InputError

Floats = NDArray[np.float64] | NDArray[np.float32]
Classes = NDArray[np.int64]


class Baseline(Protocol):
    """A classifier of patients from one vector each, fitted on the training part of a fold.

    Those that an experiment may name are built as ``Baseline(n_classes=C)``.
    """

    def __init__(self, *, n_classes: int) -> None: ...

    def fit(self, x: Floats, y: Classes) -> Self:
        """Fit on training patients: ``x`` [n, d] without missing values, ``y`` [n] in 0..C-1."""
        ...

    def predict_proba(self, x: Floats) -> NDArray[np.float64]:
        """Class probabilities [n, C] of the patients ``x`` [n, d]."""
        ...


def check_training(x: Floats, y: Classes, n_classes: int) -> None:
    """Refuse training data that no baseline can use.

    Raises:
        InputError: Lengths differ, values are missing or infinite, a class is outside
            0..n_classes-1, or there are fewer than two classes.
    """
    problems = []
    if x.ndim != 2 or len(x) != len(y):
        problems.append(f"A baseline got values of shape {x.shape} for {len(y)} labels.")
    elif not np.isfinite(x).all():
        bad = int((~np.isfinite(x)).any(axis=1).sum())
        problems.append(
            f"A baseline got missing or infinite values in {bad} patients; impute them."
        )
    if len(y) and not (y.min() >= 0 and y.max() < n_classes):
        problems.append(
            f"A baseline of {n_classes} classes got the labels {sorted(set(y.tolist()))}."
        )
    elif len(set(y.tolist())) < 2:
        problems.append("A baseline needs training patients of 2 classes or more.")
    if problems:
        raise InputError(*problems)


def for_all_classes(
    probabilities: NDArray[np.float64], seen: Classes, n_classes: int
) -> NDArray[np.float64]:
    """Spread the columns of the classes seen in training over all classes; the others get zero."""
    spread = np.zeros((len(probabilities), n_classes))
    spread[:, seen] = probabilities
    return spread
