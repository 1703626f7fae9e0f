"""Writing packed bags: one slide in memory at a time, whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from histodistill.errors import InputError
from histodistill.features import formats
from histodistill.features.packing.manifest import (
    Manifest,
    PackedPatient,
    PackedSlide,
    Stamp,
    write_manifest,
)
from histodistill.features.slide import SlideFeatures
from histodistill.features.values import ITEM_BYTES, BagDtype, as_bytes, narrowest
from histodistill.files import whole_file

if TYPE_CHECKING:
    from histodistill.features.values import Values

Slides = Mapping[str, Sequence[SlideFeatures]]

# Left free on the disk.
_RESERVE_BYTES = 2**28


def write_pack(
    path: Path,
    slides: Slides,
    *,
    dtype: BagDtype | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """Write all bags into one file, and its manifest beside it.

    The file appears when it is whole; the manifest follows, and only then it counts.

    Args:
        path: The data file.
        slides: The slides of each patient, inspected and made alike, in order.
        dtype: Type of the values; by default the narrowest that holds those of every slide.
        progress: Called with (slides written, slides in all).

    Returns:
        The manifest.

    Raises:
        InputError: All problems of all files: damaged, changed, NaN or infinite values.
        OSError: The disk is full or cannot be written.
    """
    every = [slide for own in slides.values() for slide in own]
    dtype = dtype or narrowest(slide.dtype for slide in every)
    width = every[0].width
    n_bytes = sum(slide.n_patches for slide in every) * width * ITEM_BYTES[dtype]
    path.parent.mkdir(parents=True, exist_ok=True)
    _require_space(path.parent, n_bytes)
    with whole_file(path) as temporary:
        with temporary.open("wb") as stream:
            writer = _Writer(stream, dtype, len(every), progress)
            patients = [writer.patient(name, own) for name, own in slides.items()]
        if writer.problems:
            raise InputError(*writer.problems)
    manifest = Manifest.model_validate(
        {
            "dtype": dtype,
            "width": width,
            "data": Stamp.of(path, writer.digest.hexdigest()),
            "patients": patients,
        }
    )
    write_manifest(path, manifest)
    return manifest


class _Writer:
    """Appends slides to a data file, and keeps what is wrong with any of them."""

    def __init__(
        self,
        stream: IO[bytes],
        dtype: BagDtype,
        n_slides: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.problems: list[str] = []
        self.digest = hashlib.sha256()
        self._stream = stream
        self._dtype = dtype
        self._n_slides = n_slides
        self._progress = progress
        self._rows = 0
        self._done = 0

    def patient(self, name: str, slides: Sequence[SlideFeatures]) -> PackedPatient:
        offset = self._rows
        packed = tuple(self._slide(slide) for slide in slides)
        return PackedPatient(patient=name, offset=offset, size=self._rows - offset, slides=packed)

    def _slide(self, slide: SlideFeatures) -> PackedSlide:
        stamps = {source: Stamp.of(source) for source in formats.sources(slide)}
        try:
            patches = formats.read_values(slide, dtype=self._dtype)
            _require_unchanged(stamps)
            self._append(patches)
        except InputError as error:
            self.problems += error.problems
        self._rows += slide.n_patches
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._n_slides)
        return PackedSlide(slide=slide, sources=stamps)

    def _append(self, patches: Values) -> None:
        content = as_bytes(patches).data
        self._stream.write(content)
        self.digest.update(content)


def _require_unchanged(stamps: Mapping[Path, Stamp]) -> None:
    for path, stamp in stamps.items():
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != (stamp.size, stamp.mtime_ns):
            raise InputError(f"{path} has changed while it was packed; start again.")


def _require_space(folder: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < n_bytes + _RESERVE_BYTES:
        needed = (n_bytes + _RESERVE_BYTES) / 1e9
        raise OSError(errno.ENOSPC, f"{needed:.1f} GB are needed, {free / 1e9:.1f} GB are free")
