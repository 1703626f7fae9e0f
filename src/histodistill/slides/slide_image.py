"""A slide on disk, opened when it is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from histodistill.errors import InputError
from histodistill.slides.opening import open_slide
from histodistill.slides.slide import Slide


@dataclass(frozen=True)
class SlideImage:
    """A slide on disk.

    Attributes:
        path: The file.
        mpp: µm/px of level 0 that goes before what the file records; None takes that.
        mpp_if_unrecorded: µm/px of level 0 where the file records none.
    """

    path: Path
    mpp: float | None = None
    mpp_if_unrecorded: float | None = None

    def open(self) -> Slide:
        """Open the slide.

        Raises:
            InputError: It cannot be read, or has no µm/px.
        """
        try:
            return open_slide(self.path, mpp=self.mpp)
        except InputError:
            if self.mpp_if_unrecorded is None:
                raise
            return open_slide(self.path, mpp=self.mpp_if_unrecorded)
