"""Slides to predict: their features, extracted as those that the model was trained on."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from histodistill.barcodes import left_out_types, unwanted_sample_type
from histodistill.cli.console import say_notes
from histodistill.cli.progress import ExtractionProgress
from histodistill.cohort import find_slides as find_features
from histodistill.computing.device import resolve_device
from histodistill.deploy import BundleInfo
from histodistill.errors import InputError, listed
from histodistill.extraction import ExtractionSettings, SlideEntry, extract_slides, list_slides


def extract_new(
    info: BundleInfo,
    slides: Path,
    folder: Path,
    *,
    weights: Path | None,
    allow_code: bool,
    slide_mpp: float | None,
    patient_pattern: str | None,
    sample_types: Collection[str],
    device: str,
) -> dict[str, tuple[Path, ...]]:
    """Extract slides with the encoder, tiling and tissue settings that a bundle records.

    Slides that the folder already holds are not extracted again. A slide that cannot be
    used is told and left out.

    Returns:
        Feature files by patient.

    Raises:
        InputError: The bundle records no extraction settings, the encoder's weights are not
            the same, or no slide could be used.
    """
    settings = _settings(info)
    entries = _of_sample_types(
        list_slides(slides, mpp_if_unrecorded=slide_mpp, tell=lambda note: say_notes([note])),
        sample_types,
    )
    encoder = settings.load_encoder(weights, str(resolve_device(device)), allow_code=allow_code)
    with ExtractionProgress(len(entries)) as progress:
        summary = extract_slides(entries, encoder, folder, settings, progress=progress)
    unused = [record for record in summary.records if record.status != "done"]
    say_notes(f"{record.slide}: {record.status}: {record.reason}" for record in unused)
    if len(unused) == len(entries):
        raise InputError(f"{slides}: no slide could be used; the reasons are in {folder}")
    done = {record.slide for record in summary.records if record.status == "done"}
    named = {entry.slide_id: entry.patient for entry in entries if entry.slide_id in done}
    if all(named.values()):
        return _by_patient(folder, named)
    index = find_features(folder, pattern=patient_pattern, sample_types=sample_types)
    if index.unmatched:
        names = [path.stem for path in index.unmatched]
        say_notes([f"no patient is recognised in the names of {listed(names)}; left out"])
    wanted = {p: tuple(f for f in files if f.stem in done) for p, files in index.slides.items()}
    return {patient: files for patient, files in wanted.items() if files}


def _of_sample_types(entries: list[SlideEntry], wanted: Collection[str]) -> list[SlideEntry]:
    """The slides of the wanted TCGA sample types; the others are told, before any is read."""
    kinds = {entry.slide_id: unwanted_sample_type(entry.slide_id, wanted) for entry in entries}
    left_out = {slide: kind for slide, kind in kinds.items() if kind is not None}
    if left_out:
        told = (
            f"{len(left_out)} slides of other sample types than {listed(sorted(wanted))} are left "
            f"out (by TCGA sample type {left_out_types(left_out.values())}): "
            f"{listed(sorted(left_out), 5)}"
        )
        if len(left_out) == len(entries):
            raise InputError(f"{told}; no slide is left: name the types with --sample-type")
        say_notes([told])
    return [entry for entry in entries if entry.slide_id not in left_out]


def _settings(info: BundleInfo) -> ExtractionSettings:
    origin = info.features
    if origin is None:
        raise InputError("this bundle reads genomics alone; predict without slides")
    if origin.extraction is None:
        raise InputError(
            "the bundle was trained on features that `histodistill extract` did not make "
            f"({origin.encoder or 'encoder not recorded'}, {origin.width} wide): extract these "
            "slides with the tool that made them, and give the folder with --features"
        )
    return ExtractionSettings.from_dict(json.loads(origin.extraction))


def _by_patient(folder: Path, named: dict[str, str | None]) -> dict[str, tuple[Path, ...]]:
    files: dict[str, tuple[Path, ...]] = {}
    for slide, patient in sorted(named.items()):
        files[str(patient)] = (*files.get(str(patient), ()), folder / f"{slide}.h5")
    return files
