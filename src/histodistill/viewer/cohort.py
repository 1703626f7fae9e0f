"""The patients that are shown, and what they were answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.slides import SlideImage
from histodistill.workflows.answering import Answering

if TYPE_CHECKING:
    from histodistill.workflows.new_features import KnownFeatures, NewFeatures


@dataclass(frozen=True)
class Labels:
    """A clinical table with the true classes, for the answers of a bundle.

    Attributes:
        path: The table.
        column: The target's column; None for one of the target's name.
        patient_column: The patients' column.
        site_column: The sites' column; None takes the sites of TCGA barcodes.
    """

    path: Path
    column: str | None = None
    patient_column: str = "PATIENT"
    site_column: str | None = None


@dataclass(frozen=True)
class Request:
    """What is to be shown.

    Attributes:
        place: The results of a cross-validation, or a bundle.
        images: The slides by the names of their feature files.
        features: Patch features; None takes those that the run was made of.
        genomics: Tables of genes by the names of the blocks.
        labels: True classes for a bundle's answers.
        target: Which target of several.
        method: Which method of a run.
        allow: Networks of other packages that may be run.
        expressed: Genes whose predicted expression is shown, as `explain --gene` takes them.
        answers: How a bundle is asked.
        sample_types: TCGA sample types that are read of tables of genes.
    """

    place: Path
    images: Mapping[str, SlideImage]
    features: NewFeatures | KnownFeatures | None = None
    genomics: Mapping[str, Path] | None = None
    labels: Labels | None = None
    target: str | None = None
    method: str | None = None
    allow: Sequence[str] = ()
    expressed: Sequence[str] = ()
    answers: Answering = field(default_factory=Answering)
    sample_types: tuple[str, ...] = (PRIMARY_TUMOUR,)


@dataclass(frozen=True)
class Cohort:
    """The patients, in the order of their numbers.

    Attributes:
        name: What answered, in words.
        model: What answered, as a short word that tells it from others.
        target: What was asked.
        classes: The classes.
        positive: The positive one of two.
        table: A row a patient: ``PATIENT``, ``truth``, ``call``, ``answered_by``, ``site`` (text,
            empty where unknown), ``scope`` (why the answer is out of the model's scope; empty
            where it is not known to be) and a column of probabilities for each network.
        probabilities: Probability of each class by whoever answered, [n, C]; NaN without answer.
        slides: Names of each patient's slides; empty for patients without.
        notes: What the reader must know, in sentences.
        comparable: Whether one model read all patients, so that its features can be compared.
    """

    name: str
    model: str
    target: str
    classes: tuple[str, ...]
    positive: str | None
    table: pd.DataFrame
    probabilities: np.ndarray[tuple[int, int], np.dtype[np.float64]]
    slides: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()
    comparable: bool = True

    @property
    def patients(self) -> list[str]:
        """The patients, by number."""
        return [str(name) for name in self.table["PATIENT"]]

    @property
    def networks(self) -> list[str]:
        """The columns of probabilities."""
        known = ("PATIENT", "truth", "call", "answered_by", "site", "scope")
        return [name for name in self.table.columns if name not in known]
