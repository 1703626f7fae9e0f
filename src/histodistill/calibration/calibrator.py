"""What every calibrator of two classes does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CalibratorName = Literal["none", "platt", "beta", "isotonic", "venn-abers"]


class Calibrator(ABC):
    """A monotone map of probabilities of the positive class."""

    name: ClassVar[CalibratorName]

    @classmethod
    @abstractmethod
    def fit(cls, y: npt.ArrayLike, p: npt.ArrayLike) -> Self:
        """Fit on held-out patients of both classes.

        Args:
            y: [n], 1 for positive patients, otherwise 0.
            p: [n], their probability of the positive class.
        """

    @abstractmethod
    def transform(self, p: npt.ArrayLike) -> Floats:
        """Calibrated probabilities [n] of probabilities [n]; NaN stays."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values from which :meth:`from_dict` restores it."""

    @classmethod
    @abstractmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Restore what :meth:`to_dict` returned."""
