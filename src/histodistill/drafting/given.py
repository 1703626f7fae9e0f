"""The files that a user has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from histodistill.errors import InputError


@dataclass(frozen=True)
class Given:
    """What the user named; nothing of it is opened yet.

    Attributes:
        clinical: The clinical table.
        features: Folder of patch features, one file a slide.
        slides: Folder of slide images, or the table that says whose each slide is.
        genomics: Files (or folders of GDC counts) by the names of their blocks.

    Raises:
        InputError: One of them is not there; every one that is not, at once.
    """

    clinical: Path
    features: Path | None = None
    slides: Path | None = None
    genomics: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [
            f"{path}: there is no such file or folder."
            for path in (self.clinical, self.features, self.slides, *self.genomics.values())
            if path is not None and not path.exists()
        ]
        if self.features is not None and self.features.is_file():
            problems.append(
                f"{self.features}: is a file; give the folder of feature files, one a slide."
            )
        if problems:
            raise InputError(*problems)
        if self.features is None and self.slide_images is None and not self.genomics:
            raise InputError(
                "nothing to learn from: give --features DIR, --slides DIR or --genomics NAME=FILE"
            )

    @property
    def slide_images(self) -> Path | None:
        """The folder of slide images."""
        return self.slides if self.slides is not None and self.slides.is_dir() else None

    @property
    def slide_table(self) -> Path | None:
        """The table of the slides' patients."""
        return self.slides if self.slides is not None and self.slides.is_file() else None
