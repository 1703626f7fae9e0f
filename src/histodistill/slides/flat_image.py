"""Flat images (TIFF, PNG, JPEG) that OpenSlide does not read; held in memory whole."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, TiffImagePlugin

from histodistill.errors import InputError
from histodistill.slides.resolution import Resolution, find_resolution
from histodistill.slides.slide import Slide

EIGHT_BIT_MODES = ("RGB", "RGBA", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")
FORMATS = ("TIFF", "PNG", "JPEG")

_TIFF_UNITS = {2: "inch", 3: "centimeter"}


class FlatImage(Slide):
    """An image of one level, decoded when it is opened.

    Args:
        path: The file.
        resolution: µm/px given by the user, or None to take what the file records.

    Raises:
        InputError: If the file is damaged, is too large to be held in memory, or has colours
            that are not 8 bits each.
        ValueError: If it records no µm/px.
    """

    def __init__(self, path: Path, resolution: Resolution | None) -> None:
        with _faults_named(path):
            encoded = Image.open(path, formats=FORMATS)
        with encoded:
            self._is_tiff = encoded.format == "TIFF"
            if encoded.mode not in EIGHT_BIT_MODES:
                raise InputError(
                    f"{path.name}: its pixels ({encoded.mode}) are not 8-bit colours; "
                    "convert it to 8-bit RGB"
                )
            resolution = resolution or find_resolution(_properties(encoded))
            with _faults_named(path):
                self._image = _on_white(encoded)
        super().__init__(path, self._image.size, (1.0,), resolution)

    @property
    def is_plain_tiff(self) -> bool:
        """Whether it is a TIFF and no PNG or JPEG."""
        return self._is_tiff

    def close(self) -> None:
        """Free the image."""
        self._image.close()

    def read_level(self, level: int, x: int, y: int, size: tuple[int, int]) -> Image.Image:
        """Crop the image; white beyond its edges."""
        if level != 0:
            raise ValueError(f"a flat image has level 0 only, not {level}")
        width, height = self.dimensions
        left, right = max(x, 0), min(x + size[0], width)
        top, bottom = max(y, 0), min(y + size[1], height)
        white = Image.new("RGB", size, "white")
        if left < right and top < bottom:
            white.paste(self._image.crop((left, top, right, bottom)), (left - x, top - y))
        return white


@contextmanager
def _faults_named(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a message that names the file."""
    try:
        with warnings.catch_warnings():
            # Pillow's own limit, the error below, is the one that counts.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{path.name}: too large for a flat image, which is held in memory ({error}); "
            "convert it to a tiled pyramidal TIFF"
        ) from error
    except Exception as error:
        # Decoders raise OSError, SyntaxError, ValueError, struct.error, ... on damaged files.
        raise InputError(
            f"{path.name}: truncated, damaged or of an unknown kind ({error}); "
            "copy or export it again"
        ) from error


def _properties(image: Image.Image) -> dict[str, str]:
    """What the image records of its resolution, under OpenSlide's names."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        # The dpi of PNG and JPEG files are about printing.
        return {}
    tags = image.tag_v2
    found = {
        "tiff.XResolution": tags.get(TiffImagePlugin.X_RESOLUTION),
        "tiff.YResolution": tags.get(TiffImagePlugin.Y_RESOLUTION),
        # The TIFF specification makes the inch the default unit.
        "tiff.ResolutionUnit": _TIFF_UNITS.get(tags.get(TiffImagePlugin.RESOLUTION_UNIT, 2)),
        "tiff.ImageDescription": _as_utf8(tags.get(TiffImagePlugin.IMAGEDESCRIPTION)),
    }
    return {name: str(value) for name, value in found.items() if value is not None}


def _as_utf8(text: object) -> object:
    """A text of UTF-8 that Pillow took for Latin-1, as it does with every text of a TIFF."""
    try:
        return text.encode("latin-1").decode() if isinstance(text, str) else text
    except UnicodeError:
        return text


def _on_white(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    layer = image.convert("RGBA")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=layer.getchannel("A"))
    return white
