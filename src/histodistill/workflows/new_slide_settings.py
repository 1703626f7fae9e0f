"""How new slides are extracted, where the bundle does not say it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.engines.choice import Place


@dataclass(frozen=True)
class NewSlideSettings:
    """What a bundle does not say of the extraction of new slides.

    Attributes:
        folder: Where the features go; those that it holds already are not made again.
        weights: Local weights of the encoder; without them they come from where they first came.
        allow_code: Whether a TorchScript encoder, which is a program, may run.
        slide_mpp: µm/px of level 0 of the slides that record none.
        patient_pattern: Regular expression of the patient in a slide's name; by default a TCGA
            barcode. A patient that the slide list names goes before it.
        sample_types: TCGA sample types that are read.
        device: ``auto`` (an NVIDIA GPU where there is one, else the CPU), ``cpu``, ``cuda``,
            ``cuda:<n>`` or ``mps``.
        place: Where they are extracted.
        threads: Elsewhere, the CPU cores of a task; by default 1.
        patients: Whose slides are extracted; empty for everybody's.
    """

    folder: Path
    weights: Path | None = None
    allow_code: bool = False
    slide_mpp: float | None = None
    patient_pattern: str | None = None
    sample_types: Collection[str] = (PRIMARY_TUMOUR,)
    device: str = "auto"
    place: Place = field(default_factory=Place)
    threads: int | None = None
    patients: Collection[str] = ()
