"""Answers to patients who took no part in training, kept with a model; without any name."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field, NonNegativeInt, model_validator

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.hospitals import Groups
from histodistill.settings import Settings

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Origin = Literal["validation", "out of fold", "site"]
Scale = Literal["as given", "calibrated"]

# More patients than any cohort has; a larger list is no file of ours.
_MOST = 1_000_000
# Parts that validation patients are dealt into where something is judged on patients whom it was
# not chosen on.
PARTS = 5


class HeldOutAnswers(Settings):
    """Answers of one network to n labelled patients, in the order of their probabilities.

    No name, no hospital's name and no order of the cohort is kept.

    Attributes:
        origin: ``validation`` patients of this very model; patients tested ``out of fold`` by
            models of the same method; or labelled patients of a ``site``.
        scale: Whether the probabilities are those that the network gave, or calibrated ones.
        positive: [n], whether each patient is positive.
        probability: [n], of the positive class.
        part: [n], patients of another part were answered, or are judged, by another model.
        hospital: [n], the hospital of each by number, where those who trained the model that
            answered them are of other ones; empty where they are not, or it is not known.
    """

    origin: Origin
    scale: Scale
    positive: list[bool] = Field(max_length=_MOST)
    probability: list[Probability] = Field(max_length=_MOST)
    part: list[NonNegativeInt] = Field(max_length=_MOST)
    hospital: list[NonNegativeInt] = Field(default_factory=list, max_length=_MOST)

    @model_validator(mode="after")
    def _as_long(self) -> HeldOutAnswers:
        if not len(self.positive) == len(self.probability) == len(self.part):
            raise ValueError("labels, probabilities and parts of different lengths")
        if len(self.hospital) not in (0, len(self.positive)):
            raise ValueError("labels and hospitals of different lengths")
        return self

    @classmethod
    def of(
        cls,
        positive: npt.ArrayLike,
        probability: npt.ArrayLike,
        *,
        origin: Origin,
        scale: Scale = "as given",
        part: npt.ArrayLike | None = None,
        hospital: Groups | None = None,
    ) -> HeldOutAnswers:
        """Keep answers; those that were not given (NaN) are left out.

        Args:
            positive: [n], whether each patient is positive.
            probability: [n], of the positive class.
            origin: Who they are.
            scale: Which probabilities they are.
            part: [n]; by default patients of each class are dealt into five parts.
            hospital: [n], by number; None where a promise is for patients like these.
        """
        p = np.asarray(probability, dtype=np.float64)
        known = ~np.isnan(p)
        y, p = np.asarray(positive).astype(bool)[known], p[known]
        order = np.lexsort((y, p))
        y, p = y[order], p[order]
        parts = _dealt(y) if part is None else np.asarray(part)[known][order]
        return cls(
            origin=origin,
            scale=scale,
            positive=y.tolist(),
            probability=p.tolist(),
            part=[int(each) for each in parts],
            hospital=[] if hospital is None else _by_first(hospital[known][order]),
        )

    @property
    def y(self) -> npt.NDArray[np.bool_]:
        """[n], whether each patient is positive."""
        return np.array(self.positive, dtype=bool)

    @property
    def p(self) -> Floats:
        """[n], their probabilities."""
        return np.array(self.probability, dtype=np.float64)

    @property
    def hospitals(self) -> Groups | None:
        """[n], their hospitals by number; None where a promise is for patients like these."""
        return np.array(self.hospital, dtype=np.int64) if self.hospital else None

    @property
    def named(self) -> str:
        """Who they are, for a sentence."""
        who = {
            "validation": "validation patients of this model",
            "out of fold": "patients tested out of fold",
            "site": "labelled patients of the site",
        }[self.origin]
        return f"{len(self.positive)} {who} ({sum(self.positive)} positive)"


def _by_first(hospital: Groups) -> list[int]:
    """Numbers in the order in which hospitals come, which tells nothing of their names."""
    return [int(number) for number in pd.factorize(hospital)[0]]


def _dealt(y: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Five parts in which each class and each range of probabilities is alike."""
    parts = np.empty(len(y), dtype=np.int64)
    for label in (False, True):
        own = np.flatnonzero(y == label)
        parts[own] = np.arange(len(own)) % PARTS
    return parts
