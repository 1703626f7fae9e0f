"""What can be laid over a slide: one value a patch, and how it is to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from histodistill.explanation.raster import PatchPlaces

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """Values of the patches of a slide.

    Attributes:
        name: What is shown.
        values: One value a patch, [N]; NaN where there is none.
        palette: Colours that it is shown in at first, see :mod:`histodistill.viewer.palettes`.
        limits: The values of the first and the last colour; what lies beyond has the same. Where
            they lie on both sides of 0, 0 is clear.
        unit: Unit of the values.
        ends: What the first and the last colour stand for, where words say more than figures.
        sentences: What must be known to read it; the certificate first, where it has one.
        painted: False for a layer without regional evidence, which is not shown in colour.
        evidence: Whether it says what patches brought to an answer, as attention does not.
    """

    name: str
    values: Floats
    palette: str
    limits: tuple[float, float]
    unit: str
    ends: tuple[str, str] = ("", "")
    sentences: tuple[str, ...] = ()
    painted: bool = True
    evidence: bool = False

    @property
    def diverging(self) -> bool:
        """Whether values lie on both sides of 0."""
        return self.limits[0] < 0 < self.limits[1]


@dataclass(frozen=True)
class SlideMaps:
    """The layers of one slide.

    Attributes:
        slide: Name of the slide.
        places: Where its patches lie; None where its features do not tell.
        layers: Its layers, in the order in which they are offered.
        outline: Rings of the tissue's outline, each [n, 2] level-0 px; empty where it is unknown.
        reason: Why there are no layers, in a sentence; empty where there are.
    """

    slide: str
    places: PatchPlaces | None
    layers: tuple[Layer, ...]
    outline: tuple[Floats, ...] = ()
    reason: str = ""

    def ranked(self) -> Layer | None:
        """The layer that is shown at first: the first of evidence, if one may be painted."""
        shown = (layer for layer in self.layers if layer.painted and layer.evidence)
        return next(shown, None)


@dataclass(frozen=True)
class PatientMaps:
    """All that is known of where the model looked in a patient.

    Attributes:
        patient: The patient.
        slides: Maps of each slide, in order.
        answers: For each network its answer in a sentence.
    """

    patient: str
    slides: tuple[SlideMaps, ...]
    answers: Mapping[str, str] = field(default_factory=dict)
