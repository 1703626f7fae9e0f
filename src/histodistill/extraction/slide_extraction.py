"""One slide: opened, segmented, tiled, encoded, written."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from histodistill.computing.freed_memory import keep_freed_memory
from histodistill.encoders import PatchEncoder
from histodistill.errors import InputError
from histodistill.extraction.feature_file import write_features
from histodistill.extraction.output_folder import OutputFolder
from histodistill.extraction.patch_stream import stream_batches
from histodistill.extraction.settings import ExtractionSettings
from histodistill.extraction.slide_list import SlideEntry
from histodistill.extraction.stain import stain_normaliser
from histodistill.extraction.tissue_files import OUTLINE_SUFFIXES
from histodistill.slides import Slide, open_slide
from histodistill.tiling import (
    PatchGrid,
    Tissue,
    read_tissue_geojson,
    read_tissue_mask,
    segment_tissue,
    tile,
    write_preview,
)

Pixels = NDArray[np.uint8]


class UnusableSlideError(InputError):
    """A slide that is sound, but that nothing can be extracted from."""


@dataclass(frozen=True)
class PreparedSlide:
    """An open slide with its patches; close it after use.

    Attributes:
        slide_id: Its name.
        slide: The open slide.
        grid: Its patches.
        tissue_source: ``segmented``, ``GeoJSON`` or ``mask``.
        notes: What people should know of its µm/px and of how its tissue was read.
    """

    slide_id: str
    slide: Slide
    grid: PatchGrid
    tissue_source: str
    notes: tuple[str, ...] = ()


def prepare_slide(
    entry: SlideEntry,
    settings: ExtractionSettings,
    folder: OutputFolder,
) -> PreparedSlide:
    """Open a slide, find its tissue, lay the grid; write outline and preview.

    Args:
        entry: The slide.
        settings: Tissue and tiling.
        folder: Where outline and preview go.

    Raises:
        UnusableSlideError: No µm/px, no tissue, or no patch.
        InputError: The slide or its tissue file cannot be read.
    """
    slide = _open(entry)
    try:
        tissue, source = _tissue(entry, slide, settings)
        tissue.write_geojson(folder.tissue(entry.slide_id), slide)
        try:
            grid = tile(slide.dimensions, slide.mpp, tissue, settings.tiling)
        except InputError as error:
            write_preview(folder.preview(entry.slide_id), slide, tissue)
            raise UnusableSlideError(*error.problems, *tissue.notes) from error
        write_preview(folder.preview(entry.slide_id), slide, tissue, grid)
    except BaseException:
        slide.close()
        raise
    notes = tuple(filter(None, (slide.mpp_doubt, *tissue.notes)))
    return PreparedSlide(entry.slide_id, slide, grid, source, notes)


def extract_slide(
    prepared: PreparedSlide,
    encoder: PatchEncoder,
    settings: ExtractionSettings,
    folder: OutputFolder,
    readers: ThreadPoolExecutor,
    batch_size: int,
    encoded: Callable[[int], None],
) -> None:
    """Encode the patches of a prepared slide and write its feature file.

    Args:
        prepared: The slide; left open.
        encoder: The encoder.
        settings: What is recorded in the file.
        folder: Where the file goes.
        readers: Threads that read patches.
        batch_size: Patches encoded together.
        encoded: Called with the number of patches after each batch.

    Raises:
        InputError: The slide cannot be decoded somewhere, a feature is not finite, or the disk is
            full.
    """
    keep_freed_memory()
    grid = prepared.grid
    folder.require_space(len(grid) * (encoder.width * 2 + 16))
    features = np.empty((len(grid), encoder.width), np.float16)
    batches = stream_batches(
        prepared.slide,
        grid,
        _preparation(encoder, settings),
        readers,
        batch_size,
        pinned=encoder.device.type == "cuda",
    )
    at = 0
    for batch, count in batches:
        with np.errstate(over="ignore"):  # told below, with the slide's name
            features[at : at + count] = encoder.encode(batch)[:count].numpy()
        at += count
        encoded(count)
    _require_finite(features, prepared, encoder)
    write_features(
        folder.features(prepared.slide_id),
        features,
        prepared.slide,
        prepared.slide_id,
        grid,
        settings,
        prepared.tissue_source,
    )


def _open(entry: SlideEntry) -> Slide:
    try:
        return open_slide(entry.path, mpp=entry.mpp)
    except InputError as error:
        if entry.mpp is not None or not _opens_with_resolution(entry.path):
            raise
        if entry.mpp_if_unrecorded is not None:
            return open_slide(entry.path, mpp=entry.mpp_if_unrecorded)
        found = str(error).rpartition("; ")[0]
        raise UnusableSlideError(
            f"{found}; give it with --slide-mpp, or in a column 'mpp' of a slide table"
        ) from error


def _opens_with_resolution(path: Path) -> bool:
    """Whether µm/px is all that a slide lacks."""
    try:
        open_slide(path, mpp=1.0).close()
    except InputError:
        return False
    return True


def _tissue(entry: SlideEntry, slide: Slide, settings: ExtractionSettings) -> tuple[Tissue, str]:
    if entry.tissue is None:
        return segment_tissue(slide, settings.tissue), "segmented"
    if entry.tissue.suffix.lower() in OUTLINE_SUFFIXES:
        return read_tissue_geojson(entry.tissue, slide, entry.tissue_classes), "GeoJSON"
    return read_tissue_mask(entry.tissue, slide), "mask"


def _preparation(encoder: PatchEncoder, settings: ExtractionSettings) -> Callable[[Pixels], Pixels]:
    normalise = stain_normaliser(settings.stain)

    def prepare(patch: Pixels) -> Pixels:
        stained = patch if normalise is None else normalise(patch)
        fitted: Pixels = encoder.fit(stained[None])[0]
        return fitted

    return prepare


def _require_finite(
    features: NDArray[np.float16], prepared: PreparedSlide, encoder: PatchEncoder
) -> None:
    if not np.isfinite(features).all():
        raise InputError(
            f"{prepared.slide_id}: {encoder.encoder.name} gave features that float16 cannot hold; "
            "encode with --precision float32, and check the weights and the preprocessing"
        )
