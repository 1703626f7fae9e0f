"""All that is worth knowing of an installation and its machine."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from histodistill.diagnosis.acceleration import Acceleration, acceleration
from histodistill.diagnosis.machine import Machine, machine
from histodistill.diagnosis.packages import Extra, extras, package_versions
from histodistill.diagnosis.slide_reading import SlideReading, slide_reading
from histodistill.diagnosis.storage import Folder, folders

Rows = list[tuple[str, str]]


@dataclass(frozen=True)
class Diagnosis:
    """What is installed and at hand.

    Attributes:
        versions: Of Python and of the packages that decide on results.
        extras: Optional packages.
        machine: Processor, threads and memory.
        acceleration: GPU and compiled kernels.
        slides: OpenSlide, encoders and their weights.
        folders: Where files go.
    """

    versions: dict[str, str | None]
    extras: tuple[Extra, ...]
    machine: Machine
    acceleration: Acceleration
    slides: SlideReading
    folders: tuple[Folder, ...]

    def sections(self) -> dict[str, Rows]:
        """Rows of name and sentence by the title of their table; what lacks says how to get it."""
        return {
            "Versions": [
                (name, found or f"not installed; pip install {name}")
                for name, found in self.versions.items()
            ],
            "Extras": [(extra.name, extra.told()) for extra in self.extras],
            "Machine": self.machine.rows(),
            "Acceleration": self.acceleration.rows(),
            "Slides and encoders": self.slides.rows(),
            "Folders": [(folder.purpose, folder.told()) for folder in self.folders],
        }

    def values(self) -> dict[str, Any]:
        """The same for a program: fields by their names."""
        return asdict(self)


def diagnose() -> Diagnosis:
    """Look at the installation and the machine.

    Nothing is fetched and nothing is changed, but for the kernels, which are compiled into the
    user's cache where they are not yet. Never fails for what is missing: that is what it tells.
    """
    return Diagnosis(
        versions=package_versions(),
        extras=extras(),
        machine=machine(),
        acceleration=acceleration(),
        slides=slide_reading(),
        folders=folders(),
    )
