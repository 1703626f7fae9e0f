"""What a pathologist says of the answers: a CSV that only ever grows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Literal

import pandas as pd

from histodistill.claims import held
from histodistill.errors import InputError
from histodistill.spreadsheets import read_back, write_csv
from histodistill.tables import read_table

Verdict = Literal["agree", "disagree", "not assessable", ""]
"""Empty where a reviewer has left a remark alone."""


@dataclass(frozen=True)
class Review:
    """One verdict.

    Attributes:
        PATIENT: The patient.
        target: What was asked.
        model: What answered: a fingerprint, or a run's method.
        call: What it answered.
        verdict: What the reviewer says of it.
        remark: In their own words.
        reviewer: Who says it.
        time: When, in UTC.
    """

    PATIENT: str
    target: str
    model: str
    call: str
    verdict: Verdict
    remark: str
    reviewer: str
    time: str = ""


_COLUMNS = list(Review.__dataclass_fields__)


class Reviews:
    """The verdicts in a file. Every one is kept; the last one of a reviewer counts.

    Args:
        path: The CSV file; it is made with the first verdict.

    Raises:
        InputError: The file is no table of verdicts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._rows()  # refused before anybody writes a word

    def save(self, review: Review) -> None:
        """Add a verdict; when this returns it is on disk.

        Raises:
            InputError: The file has become no table of verdicts.
            OSError: It cannot be written.
        """
        timed = asdict(review) | {"time": datetime.now(UTC).isoformat(timespec="seconds")}
        # Another viewer may write to the same file: its rows are read again first.
        with self._lock, held(self.path.parent):
            rows = pd.concat([self._rows(), pd.DataFrame([timed])], ignore_index=True)
            write_csv(self.path, rows[_COLUMNS])

    def latest(self, target: str, model: str, reviewer: str) -> dict[str, Review]:
        """The last verdict of a reviewer on each patient, for one target and model."""
        rows = self._rows()
        own = rows[
            (rows["target"] == target) & (rows["model"] == model) & (rows["reviewer"] == reviewer)
        ]
        rows_by_name = (
            {str(name): cell for name, cell in row.items()} for row in own.to_dict("records")
        )
        return {row["PATIENT"]: Review(**row) for row in rows_by_name}

    def _rows(self) -> pd.DataFrame:
        if not self.path.exists():
            return pd.DataFrame(columns=_COLUMNS, dtype=str)
        table = read_back(read_table(self.path))
        if list(table.columns) != _COLUMNS:
            raise InputError(
                f"{self.path}: no table of verdicts of this program: its columns should be "
                f"{', '.join(_COLUMNS)}; give another file with --reviews"
            )
        return table.fillna("").astype(str)
