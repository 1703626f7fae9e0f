"""A folder of packed bags that processes and experiments share."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from histodistill import files
from histodistill.errors import InputError
from histodistill.features import formats
from histodistill.features.inspection import inspect_slides
from histodistill.features.layouts.registry import AUTO, LAYOUTS
from histodistill.features.packing.manifest import (
    FORMAT,
    Check,
    Manifest,
    PackedPatient,
    PackedSlide,
    Stale,
    Stamp,
    read_manifest,
    write_manifest,
)
from histodistill.features.packing.reading import PackedBags
from histodistill.features.packing.writing import Slides, write_pack
from histodistill.features.slide import SlideFeatures
from histodistill.features.values import BagDtype, narrowest

SlidePaths = Mapping[str, Sequence[Path]]
Progress = Callable[[int, int], None]


def user_cache() -> Path:
    """The user's folder of packed bags."""
    return files.user_cache() / "packed"


def cached_pack(
    folder: Path,
    slide_paths: SlidePaths,
    *,
    dtype: BagDtype | None = None,
    layout: str = AUTO,
    check: bool = False,
    progress: Progress | None = None,
) -> tuple[PackedBags, Manifest, list[str]]:
    """Open the packed bags of a cohort; pack them first where that is needed.

    Packed bags are found by patients, paths and dtype. They are right as long as sizes and dates
    of all files are; where a date differs, content hashes decide. The same content under other
    paths is shared rather than packed again. One process packs; others wait for it.

    Args:
        folder: The cache.
        slide_paths: Feature files of each patient, in order.
        dtype: Type of the values; by default the narrowest that holds those of every slide.
        layout: The layout of all files; by default that which recognises each.
        check: Whether to compare the content hashes of all files, whatever their dates.
        progress: Called with (slides packed, slides in all) while packing.

    Returns:
        The bags, their manifest, and why they were packed again, in sentences.

    Raises:
        InputError: All problems of all feature files.
        OSError: The folder cannot be written, or the disk is full.
    """
    absolute = {p: [Path(path).absolute() for path in paths] for p, paths in slide_paths.items()}
    path = folder / f"{_key(absolute, dtype, layout)}.bags"
    if not check:
        # What is whole needs no lock, and no right to write.
        with contextlib.suppress(Stale, InputError):
            manifest = _read(path, "dates", layout)
            return PackedBags(path, manifest), manifest, []
    with _locked(path):
        manifest, notes = _opened_or_packed(path, absolute, dtype, layout, check, progress)
        return PackedBags(path, manifest), manifest, notes


def _key(slide_paths: SlidePaths, dtype: BagDtype | None, layout: str) -> str:
    files = [[patient, [str(path) for path in paths]] for patient, paths in slide_paths.items()]
    asked = [FORMAT, str(dtype), layout, files]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:32]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only process that writes these bags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _opened_or_packed(
    path: Path,
    slide_paths: SlidePaths,
    dtype: BagDtype | None,
    layout: str,
    check: bool,
    progress: Progress | None,
) -> tuple[Manifest, list[str]]:
    notes = []
    try:
        # Another process may have packed while this one waited.
        return _read(path, "everything" if check else "changed", layout), []
    except Stale as reason:
        if path.exists():
            notes.append(f"the bags were packed again, because {reason}")
    for left in path.parent.glob(f".{path.stem}-*"):  # by builds that were killed
        left.unlink()
    slides = inspect_slides(slide_paths, layout=layout)
    manifest = _shared(path, slides, dtype) or write_pack(
        path, slides, dtype=dtype, progress=progress
    )
    return manifest, notes


def _read(path: Path, check: Check, layout: str) -> Manifest:
    """The manifest of packed bags that can be used.

    Raises:
        Stale: There are none, or a file has changed.
    """
    manifest = read_manifest(path)
    if manifest is None:
        raise Stale(f"{path} has no manifest")
    # What a manifest names is not imported: it may be of somebody else.
    unknown = manifest.layouts.difference(LAYOUTS.names(), {layout})
    if unknown:
        raise Stale(f"{path} names a layout that was not asked for ({', '.join(sorted(unknown))})")
    renewed = manifest.renewed(path, check)
    if renewed != manifest:
        write_manifest(path, renewed)
    return renewed


def _shared(path: Path, slides: Slides, dtype: BagDtype | None) -> Manifest | None:
    """Take over the packed bags of other files with the same content, where there are any."""
    wanted = dtype or narrowest(slide.dtype for own in slides.values() for slide in own)
    for other in sorted(path.parent.glob("*.bags")):
        # Where a file system has no hard links, the bags are packed.
        with contextlib.suppress(Stale, OSError):
            found = read_manifest(other)
            if found is None or other == path or found.dtype != wanted:
                continue
            patients = _same_content(found, slides)
            data = found.data.renewed(other, "changed")
            path.unlink(missing_ok=True)
            path.hardlink_to(other)
            manifest = found.model_copy(update={"data": data, "patients": patients})
            write_manifest(path, manifest)
            return manifest
    return None


def _same_content(found: Manifest, slides: Slides) -> tuple[PackedPatient, ...]:
    """The patients of packed bags, with the files of other slides.

    Raises:
        Stale: The slides differ from those that were packed.
    """
    lengths = {name: [slide.n_patches for slide in own] for name, own in slides.items()}
    packed = {name: [slide.n_patches for slide in own] for name, own in found.slides.items()}
    if list(lengths.items()) != list(packed.items()):
        raise Stale("other patients or slides are packed there")
    return tuple(
        patient.model_copy(
            update={"slides": tuple(map(_moved, patient.slides, slides[patient.patient]))}
        )
        for patient in found.patients
    )


def _moved(packed: PackedSlide, slide: SlideFeatures) -> PackedSlide:
    """A packed slide at another place.

    Raises:
        Stale: The file there has another content.
    """
    stamp = packed.sources[packed.slide.path].renewed(slide.path, "everything")
    beside = {path: Stamp.of(path) for path in formats.sources(slide)[1:]}
    return PackedSlide(slide=slide, sources={slide.path: stamp, **beside})
