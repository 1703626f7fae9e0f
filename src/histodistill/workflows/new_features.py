"""Patch features of new patients, that were extracted already."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cohort import find_slides
from histodistill.errors import InputError
from histodistill.features import BagStore, open_bags
from histodistill.features.layouts.registry import (
    AUTO,
    checked_layout,
    companion_patterns,
    feature_suffixes,
)
from histodistill.gate.patterns import require_bounded_pattern


@dataclass(frozen=True)
class NewFeatures:
    """A folder of feature files, and how their patients are found.

    Attributes:
        folder: The folder.
        table: A slides table (PATIENT, FILENAME); without it the file names tell.
        patient_pattern: Regular expression of the patient in a file name; by default a TCGA
            barcode.
        layout: Layout of the files; ``auto`` recognises each.
        leave_out_missing: Whether files of the table may be absent.
        sample_types: TCGA sample types that are read.

    Raises:
        InputError: There is no such layout.
    """

    folder: Path
    table: Path | None = None
    patient_pattern: str | None = None
    layout: str = AUTO
    leave_out_missing: bool = False
    sample_types: Collection[str] = (PRIMARY_TUMOUR,)

    def __post_init__(self) -> None:
        try:
            checked_layout(self.layout)
        except ValueError as error:
            raise InputError(f"--layout: {error}") from error

    def open(self, trained_pattern: str | None = None) -> tuple[BagStore, list[str]]:
        """Their bags, and what was decided on the way, in sentences.

        Args:
            trained_pattern: What found the patients in the names of the training's files; serves
                where there is neither a table nor a pattern.

        Raises:
            InputError: The files, or their patients, cannot be found or read.
        """
        from histodistill.experiment.data import slide_notes  # and all of an experiment

        trained = trained_pattern if self.table is None else None
        pattern, told = chosen_pattern(self.patient_pattern, trained)
        index = find_slides(
            self.folder,
            suffixes=feature_suffixes(self.layout),
            companions=companion_patterns(self.layout),
            table=self.table,
            pattern=pattern,
            sample_types=self.sample_types,
            leave_out_missing=self.leave_out_missing,
            by_options=True,
        )
        return open_bags(index.slides, layout=self.layout), [*told, *slide_notes(index)]


@dataclass(frozen=True)
class KnownFeatures:
    """Feature files whose patients are known.

    Attributes:
        files: Feature files by patient.
    """

    files: Mapping[str, Sequence[Path]]

    def open(self, _trained_pattern: str | None = None) -> tuple[BagStore, list[str]]:
        """Their bags; nothing had to be decided.

        Raises:
            InputError: The files cannot be read.
        """
        return open_bags(self.files), []


def chosen_pattern(given: str | None, trained: str | None) -> tuple[str | None, list[str]]:
    """The pattern that finds patients in file names: the user's, else the training's, with a note.

    Args:
        given: What the user gave.
        trained: What the training's files were read with.

    Raises:
        InputError: The training's, which anybody may have written, could match for ever.
    """
    if given is not None or trained is None:
        return given, []
    require_bounded_pattern(trained, "the bundle", "give your own in --patient-pattern")
    return trained, [
        f"patients are read from the names of the files by the pattern of the training, "
        f"'{trained}'; give --patient-pattern where these files are named otherwise"
    ]
