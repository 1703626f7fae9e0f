"""Patch features that options of a command name: which files, whose, and of which layout."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cli.console import say_notes
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.features import BagStore

LeaveOutMissing = Annotated[
    bool,
    typer.Option(
        "--leave-out-missing",
        help="With --slides-table: leave out files that it names and that are absent.",
        rich_help_panel="Slides",
    ),
]
Layout = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="With --features: layout of the files, as `features: layout` of an experiment.",
        rich_help_panel="Slides",
    ),
]


@dataclass(frozen=True)
class PatchFeatures:
    """A folder of feature files, and how their patients are found.

    Attributes:
        folder: The folder.
        table: A slides table.
        pattern: Regular expression of the patient in a file name.
        layout: Layout of the files; ``auto`` recognises each.
        leave_out_missing: Whether files of the table may be absent.
        sample_types: TCGA sample types that are read.
    """

    folder: Path
    table: Path | None
    pattern: str | None
    layout: str
    leave_out_missing: bool
    sample_types: Collection[str] = (PRIMARY_TUMOUR,)

    def open(self) -> BagStore:
        """Their bags; what was decided on the way is told.

        Raises:
            InputError: The files, their patients or the layout cannot be found or read.
        """
        from histodistill.cohort import find_slides
        from histodistill.experiment.data import slide_notes
        from histodistill.features import open_bags
        from histodistill.features.layouts.registry import companion_patterns, feature_suffixes

        index = find_slides(
            self.folder,
            suffixes=feature_suffixes(self.layout),
            companions=companion_patterns(self.layout),
            table=self.table,
            pattern=self.pattern,
            sample_types=self.sample_types,
            leave_out_missing=self.leave_out_missing,
            by_options=True,
        )
        say_notes(slide_notes(index))
        return open_bags(index.slides, layout=self.layout)


def require_layout(layout: str) -> None:
    """Refuse a name that no layout has; nothing is imported."""
    from histodistill.features.layouts.registry import checked_layout

    try:
        checked_layout(layout)
    except ValueError as error:
        raise InputError(f"--layout: {error}") from error
