"""Open a file as a slide: what it is by its content, not by its name."""

from __future__ import annotations

from pathlib import Path

from histodistill.errors import InputError
from histodistill.gate.stand_ins import HEAD_BYTES, require_fetched
from histodistill.slides.flat_image import FlatImage
from histodistill.slides.resolution import given_resolution
from histodistill.slides.slide import Slide
from histodistill.slides.tiff_pages import misread, tiff_pages, unread_compression
from histodistill.slides.whole_slide import WholeSlide, is_whole_slide

# The formats of flat images, by the bytes they begin with.
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}
_SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
    "TIFF": (".tif", ".tiff", ".btf", ".tf8"),
}


def open_slide(path: Path, *, mpp: float | None = None) -> Slide:
    """Open a whole-slide file or a flat TIFF, PNG or JPEG image.

    Args:
        path: The file.
        mpp: µm/px of level 0, overriding what the file records.

    Returns:
        The slide, to be used as a context manager. Its ``mpp_source`` says where the µm/px
        comes from.

    Raises:
        InputError: If the file is missing, empty, truncated, no image, of another kind than its
            name says, or records no µm/px while none is given.
    """
    _present(path)
    try:
        resolution = None if mpp is None else given_resolution(mpp)
        if is_whole_slide(path):
            return _of_one_picture(WholeSlide(path, resolution))
        _flat_image_under_its_own_name(path)
        return _of_one_picture(FlatImage(path, resolution))
    except InputError as error:
        raise InputError(unread_compression(path) or str(error)) from error
    except ValueError as error:
        raise InputError(f"{path.name}: {error}") from error


def _of_one_picture(slide: Slide) -> Slide:
    """The slide, unless it is a TIFF that shows something else than its largest page.

    Raises:
        InputError: Its first page is a thumbnail, or its colours lie on several pages.
    """
    if not slide.is_plain_tiff:
        return slide
    reason = misread(slide.path, tiff_pages(slide.path), slide.dimensions)
    if reason is not None:
        slide.close()
        raise InputError(reason)
    return slide


def _present(path: Path) -> None:
    if not _exists(path):
        raise InputError(f"{path.name}: no such file in {path.parent}")
    if path.is_dir():
        raise InputError(f"{path.name}: a folder, not a slide")
    if not path.is_file():
        raise InputError(f"{path.name}: a pipe or a device, not a file")
    if path.stat().st_size == 0:
        raise InputError(f"{path.name}: the file is empty; copy it again")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # links that lead round in a circle
        return False


def _flat_image_under_its_own_name(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    kind = next((kind for magic, kind in _SIGNATURES.items() if head.startswith(magic)), None)
    suffix = path.suffix.lower()
    if kind is None:
        require_fetched(path, head)
        raise InputError(
            f"{path.name}: not a slide format that OpenSlide knows, nor a TIFF, PNG or JPEG image"
        )
    if suffix in _SUFFIXES[kind]:
        return
    if suffix == ".mrxs":
        raise InputError(
            f"{path.name}: an MRXS needs the folder {path.stem} beside it, with all its files"
        )
    if kind == "TIFF":
        raise InputError(
            f"{path.name}: a TIFF file, but not a readable {suffix}: truncated or damaged; "
            "copy it again"
        )
    raise InputError(
        f"{path.name}: really a {kind} image, not a {suffix or 'slide'} file; if the image is "
        f"what you want to analyse, rename it to {path.stem}{_SUFFIXES[kind][0]}"
    )
