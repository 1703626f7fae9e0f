"""The manifest of packed bags: what the data file holds, and what it was made from."""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator

from histodistill.errors import InputError
from histodistill.features import formats
from histodistill.features.slide import SlideFeatures
from histodistill.features.values import ITEM_BYTES, BagDtype
from histodistill.files import sha256, write_json
from histodistill.gate.text import read_json

FORMAT: Final = 1


# How a file is compared with its stamp: size and date alone; the content too where the date
# differs; the content always.
Check = Literal["dates", "changed", "everything"]


class Stale(Exception):  # noqa: N818 - no error: the bags are packed again
    """Packed bags that cannot be used; says why, as the end of a sentence."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stamp(_Record):
    """What a file was like when it was last known to be right.

    Attributes:
        size: Bytes.
        mtime_ns: Time of its last change, in ns.
        sha256: Hash of its content.
    """

    size: NonNegativeInt
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path, content: str | None = None) -> Stamp:
        """Stamp a file; ``content`` is its hash, where it is known already."""
        found = path.stat()
        return cls(size=found.st_size, mtime_ns=found.st_mtime_ns, sha256=content or sha256(path))

    def renewed(self, path: Path, check: Check) -> Stamp:
        """The stamp of a file that still has the same content.

        Raises:
            Stale: The file has changed, or is gone.
        """
        try:
            found = path.stat()
        except OSError as error:
            raise Stale(f"{path} cannot be found") from error
        if found.st_size != self.size:
            raise Stale(f"{path} has {found.st_size} bytes instead of {self.size}")
        same_date = found.st_mtime_ns == self.mtime_ns
        if check == "dates" and not same_date:
            raise Stale(f"{path} has another date")
        if check == "dates" or (check == "changed" and same_date):
            return self
        now = Stamp.of(path)
        if now.sha256 != self.sha256:
            raise Stale(f"{path} has another content")
        return now


class PackedSlide(_Record):
    """A slide, and the files that it was read from.

    Attributes:
        slide: What its header said, encoder and extraction settings included.
        sources: The feature file, and files beside it that describe it.
    """

    slide: SlideFeatures
    sources: dict[Path, Stamp]

    def renewed(self, check: Check) -> PackedSlide:
        """The slide with today's dates of its files.

        Raises:
            Stale: One of the files has changed.
        """
        now = formats.sources(self.slide)
        if set(now) != set(self.sources):
            raise Stale(f"the files beside {self.slide.path} are others")
        sources = {path: stamp.renewed(path, check) for path, stamp in self.sources.items()}
        return self.model_copy(update={"sources": sources})


class PackedPatient(_Record):
    """Which rows are a patient's.

    Attributes:
        patient: The patient.
        offset: First row of the bag.
        size: Rows of the bag.
        slides: The slides, in the order of their rows.
    """

    patient: str
    offset: NonNegativeInt
    size: PositiveInt
    slides: tuple[PackedSlide, ...]


class Manifest(_Record):
    """What a data file holds.

    Attributes:
        format: Version of this format.
        dtype: Type of the values, little-endian.
        width: Values in a row.
        data: The data file.
        patients: The patients, in the order of their rows.
    """

    format: Literal[1] = FORMAT
    dtype: BagDtype
    width: PositiveInt
    data: Stamp
    patients: tuple[PackedPatient, ...]

    @model_validator(mode="after")
    def _rows_fill_the_data(self) -> Self:
        ends = [0, *accumulate(patient.size for patient in self.patients)]
        rows = [sum(s.slide.n_patches for s in patient.slides) for patient in self.patients]
        if [patient.offset for patient in self.patients] != ends[:-1]:
            raise ValueError("the bags do not lie end to end")
        if [patient.size for patient in self.patients] != rows:
            raise ValueError("the slides' rows do not add up to the bags'")
        if self.data.size != ends[-1] * self.width * ITEM_BYTES[self.dtype]:
            raise ValueError("the data file has another size than its rows")
        return self

    @property
    def slides(self) -> dict[str, list[SlideFeatures]]:
        """The slides of each patient, in order."""
        return {p.patient: [packed.slide for packed in p.slides] for p in self.patients}

    @property
    def layouts(self) -> set[str]:
        """The layouts of the slides."""
        return {slide.layout for own in self.slides.values() for slide in own}

    def renewed(self, data: Path, check: Check) -> Manifest:
        """The manifest with today's dates of the data file and of everything it was made from.

        Raises:
            Stale: One of the files has changed.
        """
        patients = [
            patient.model_copy(
                update={"slides": tuple(packed.renewed(check) for packed in patient.slides)}
            )
            for patient in self.patients
        ]
        return self.model_copy(
            update={"data": self.data.renewed(data, check), "patients": tuple(patients)}
        )


def manifest_path(data: Path) -> Path:
    """Where the manifest of a data file lies."""
    return data.with_suffix(".json")


def read_manifest(data: Path) -> Manifest | None:
    """Read the manifest of a data file; None where there is none.

    Raises:
        Stale: It is damaged, or of another version.
    """
    path = manifest_path(data)
    try:
        return Manifest.model_validate(read_json(path))
    except FileNotFoundError:
        return None
    except (ValueError, OSError, InputError) as error:  # of JSON, UTF-8 and pydantic alike
        raise Stale(f"{path} is damaged or of another version") from error


def write_manifest(data: Path, manifest: Manifest) -> None:
    """Write the manifest of a data file, whole."""
    write_json(manifest_path(data), manifest.model_dump(mode="json"))
