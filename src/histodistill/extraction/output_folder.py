"""The folder that a run fills: feature files, one record a slide, and the table of all."""

from __future__ import annotations

import glob
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from histodistill.errors import InputError
from histodistill.extraction.feature_file import n_patches_in, read_extraction_settings
from histodistill.extraction.settings import ExtractionSettings
from histodistill.files import write_json
from histodistill.gate.records import read_record
from histodistill.spreadsheets import write_csv

Status = Literal["done", "skipped", "failed", "elsewhere"]

# Left free on the disk whatever is written.
_RESERVE_BYTES = 64 * 2**20


class DiskFullError(InputError):
    """There is no room for the next feature file; the run ends."""


@dataclass(frozen=True)
class SlideRecord:
    """What became of a slide: one row of ``extraction.csv``.

    Attributes:
        slide: Its name.
        status: ``done``; ``skipped``: readable, but nothing can be extracted; ``failed``: a
            fault; ``elsewhere``: another process is working on it.
        patches: Patches extracted.
        mpp: µm/px of its level 0.
        mpp_source: Where that was found.
        tissue: ``segmented``, or the name of the file that outlined its tissue.
        reason: Why it was skipped or failed, or what to know of one that is done.
        seconds: Time it took.
        patient: Patient, where a table told.
        file: The slide file.
    """

    slide: str
    status: Status
    patches: int = 0
    mpp: float | None = None
    mpp_source: str = ""
    tissue: str = ""
    reason: str = ""
    seconds: float = 0.0
    patient: str | None = None
    file: str = ""


class OutputFolder:
    """Paths and records of an output folder.

    Args:
        path: The folder; made when it is missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.claims = path / ".claims"
        self._records = path / ".records"
        self._settings = path / "extraction.json"

    def features(self, slide_id: str) -> Path:
        """The feature file of a slide."""
        return self.path / f"{slide_id}.h5"

    def preview(self, slide_id: str) -> Path:
        """The picture of a slide's outline and patches."""
        return self.path / "previews" / f"{slide_id}.jpg"

    def tissue(self, slide_id: str) -> Path:
        """The outline of a slide's tissue, for QuPath."""
        return self.path / "tissue" / f"{slide_id}.geojson"

    def begin(self, settings: ExtractionSettings) -> None:
        """Take the folder for these settings.

        Raises:
            InputError: It holds features made with other settings, or the disk is full.
        """
        self.require_space(0)
        self.require_alike(settings)
        if not self._settings.is_file():
            write_json(self._settings, settings.to_dict())

    def require_alike(self, settings: ExtractionSettings) -> None:
        """Check that what the folder holds, if anything, was made with these settings.

        Raises:
            InputError: It was not.
        """
        if not self._settings.is_file():
            return
        remedy = "remove it: each feature file tells its own settings too"
        recorded = read_record(self._settings, dict[str, Any], remedy)
        different = settings.differences(ExtractionSettings.from_dict(recorded))
        if different:
            raise InputError(
                f"{self.path} holds features made with other settings ({'; '.join(different)})"
                ". Features of two kinds cannot be mixed: give another --out folder, or the "
                "settings of that run."
            )

    def require_space(self, n_bytes: int) -> None:
        """Check that the disk has room for ``n_bytes`` and a reserve.

        Raises:
            DiskFullError: It has not.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if free < n_bytes + _RESERVE_BYTES:
            raise DiskFullError(
                f"The disk of {self.path} has {free / 2**20:.0f} MiB free; the next feature file "
                f"needs {(n_bytes + _RESERVE_BYTES) / 2**20:.0f} MiB. Free some space and start "
                "again; finished slides are kept."
            )

    def finished(self, slide_id: str, settings: ExtractionSettings) -> SlideRecord | None:
        """The record of a slide whose feature file is there; None where there is none.

        Raises:
            InputError: The file cannot be read, or was made with other settings.
        """
        path = self.features(slide_id)
        if not path.is_file():
            return None
        different = settings.differences(read_extraction_settings(path))
        if different:
            raise InputError(
                f"{path} was made with other settings ({'; '.join(different)}); move it away."
            )
        record = self._read_record(slide_id)
        if record is not None and record.status == "done":
            return record
        # Killed between the feature file and its record.
        return SlideRecord(slide_id, "done", n_patches_in(path))

    def sweep(self, slide_id: str) -> None:
        """Remove what a killed process left half-written of a slide; its holder may do so."""
        own = (self.features(slide_id), self.preview(slide_id), self.tissue(slide_id))
        for path in (*own, self._record(slide_id)):
            for left in path.parent.glob(f".{glob.escape(path.stem)}-*{path.suffix}"):
                left.unlink(missing_ok=True)

    def write_record(self, record: SlideRecord) -> None:
        """Keep the record of a slide and write the table anew."""
        write_json(self._record(record.slide), asdict(record))
        self.write_table()

    def write_table(self) -> None:
        """Write ``extraction.csv`` from the records of all processes."""
        while True:
            records = self.records()
            write_csv(self.path / "extraction.csv", _table(records))
            # Another process may have added one and written its table before this one.
            if self.records() == records:
                return

    def records(self) -> list[SlideRecord]:
        """All records, ordered by slide."""
        # Names that begin with a dot are files that are being written.
        found = (self._read_record(path.stem) for path in sorted(self._records.glob("[!.]*.json")))
        return [record for record in found if record is not None]

    def _record(self, slide_id: str) -> Path:
        return self._records / f"{slide_id}.json"

    def _read_record(self, slide_id: str) -> SlideRecord | None:
        try:
            remedy = "remove it, and the slide is looked at again"
            return read_record(self._record(slide_id), SlideRecord, remedy)
        except FileNotFoundError:
            return None


def _table(records: list[SlideRecord]) -> pd.DataFrame:
    columns = list(SlideRecord.__dataclass_fields__)
    return pd.DataFrame([asdict(record) for record in records], columns=columns)
