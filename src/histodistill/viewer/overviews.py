"""Coarse pictures of slides that have no coarse level: read once, strip by strip, and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from histodistill.files import user_cache, whole_file
from histodistill.slides import Slide

Told = Callable[[float], None]

_QUALITY = 92


def overview_of(slide: Slide, downsample: float, told: Told) -> Image.Image:
    """The whole slide, coarser by a factor; from the user's cache where it was made before.

    The picture is tied to the file's place, size and time, so that another file of its name gets
    one of its own. Memory stays bounded: the slide is read block by block.

    Args:
        slide: The open slide, which nobody else may read meanwhile.
        downsample: Level-0 px in a pixel of the picture.
        told: Told the share that is read, from 0 to 1.

    Raises:
        InputError: The slide cannot be decoded.
    """
    kept = _place(slide, downsample)
    read = _kept(kept)
    if read is None:
        read = Image.fromarray(slide.thumbnail(downsample * slide.mpp, told))
        _keep(read, kept)
    told(1.0)
    return read


def _place(slide: Slide, downsample: float) -> Path:
    known = slide.path.stat()
    parts = slide.path.resolve(), known.st_size, known.st_mtime_ns, slide.dimensions, downsample
    name = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:24]
    return user_cache() / "overviews" / f"{name}.jpg"


def _kept(path: Path) -> Image.Image | None:
    try:
        with Image.open(path, formats=("JPEG",)) as kept:
            return kept.convert("RGB")
    except (OSError, Image.DecompressionBombError):  # absent, or no picture of ours
        return None


def _keep(picture: Image.Image, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole_file(path) as temporary:
            picture.save(temporary, "JPEG", quality=_QUALITY, subsampling=0)
    except OSError:
        return  # a full or read-only disk: it is read again next time
