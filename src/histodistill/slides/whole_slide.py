"""Whole-slide formats (SVS, NDPI, MRXS, SCN, tiled TIFF, DICOM, ...) through OpenSlide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from histodistill.errors import InputError
from histodistill.slides.extra import slides_extra
from histodistill.slides.resolution import Resolution, find_resolution
from histodistill.slides.slide import Slide


def is_whole_slide(path: Path) -> bool:
    """Whether OpenSlide recognises the file by its content."""
    with slides_extra():
        import openslide
    return openslide.OpenSlide.detect_format(path) is not None


class WholeSlide(Slide):
    """A slide read by OpenSlide.

    Args:
        path: The file.
        resolution: µm/px given by the user, or None to take what the file records.

    Raises:
        InputError: If the file is damaged.
        ValueError: If it records no µm/px.
    """

    def __init__(self, path: Path, resolution: Resolution | None) -> None:
        with slides_extra():
            import openslide
        try:
            self._file = openslide.OpenSlide(path)
        except openslide.OpenSlideError as error:
            raise _damaged(path, error) from error
        super().__init__(
            path,
            self._file.dimensions,
            tuple(self._file.level_downsamples),
            resolution or find_resolution(self._file.properties),
            _bounds(self._file.properties, self._file.dimensions),
        )

    @property
    def is_plain_tiff(self) -> bool:
        """Whether OpenSlide takes it for a TIFF of no scanner."""
        return self._file.properties.get("openslide.vendor") == "generic-tiff"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read_level(self, level: int, x: int, y: int, size: tuple[int, int]) -> Image.Image:
        """Read pixels of a level; white where the slide is transparent."""
        import openslide

        try:
            region = self._file.read_region((x, y), level, size)
        except openslide.OpenSlideError as error:
            raise _damaged(self.path, error) from error
        opacity = region.getchannel("A")
        if opacity.getextrema() == (255, 255):  # as nearly everywhere: nothing to paste
            return region.convert("RGB")
        white = Image.new("RGB", size, "white")
        white.paste(region, mask=opacity)
        return white


def _bounds(
    properties: Mapping[str, str], dimensions: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """The scanned area within the slide, where the format records one."""
    names = ("bounds-x", "bounds-y", "bounds-width", "bounds-height")
    recorded = [properties.get(f"openslide.{name}", "") for name in names]
    if not all(text.isdigit() for text in recorded):
        return None
    left, top, width, height = map(int, recorded)
    width, height = min(width, dimensions[0] - left), min(height, dimensions[1] - top)
    return (left, top, width, height) if width > 0 and height > 0 else None


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path.name}: truncated or damaged ({error}); copy or scan it again")
