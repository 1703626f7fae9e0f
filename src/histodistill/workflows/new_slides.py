"""Slides to predict: their features, extracted as those that the model was trained on.

All that can be wrong is found by :func:`plan_slides`, before hours of extraction.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from histodistill.barcodes import left_out_types, unwanted_sample_type
from histodistill.cohort.slides import patient_reader
from histodistill.deploy import Bundle, BundleInfo, Predictions, predict
from histodistill.deploy.predict import check_request
from histodistill.encoders import PatchEncoder
from histodistill.engines.choice import Place
from histodistill.errors import InputError, Problems, listed
from histodistill.extraction import (
    ExtractionSettings,
    ExtractionSummary,
    OutputFolder,
    Progress,
    SlideEntry,
    extract_slides,
    list_slides,
)
from histodistill.extraction.elsewhere import SlidesThere, extract_elsewhere
from histodistill.features import open_bags
from histodistill.files import require_writable
from histodistill.model import NetworkName
from histodistill.workflows.extraction import device_of_tasks, unused_mpp
from histodistill.workflows.new_features import chosen_pattern
from histodistill.workflows.new_slide_settings import NewSlideSettings


@dataclass(frozen=True)
class ExtractedSlides:
    """New features.

    Attributes:
        files: Feature files by patient.
        notes: The slides that could not be used, a sentence each; and what had no effect.
        failed: Slides that could not be read or encoded; to be tried again.
    """

    files: dict[str, tuple[Path, ...]]
    notes: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True)
class SlidePlan:
    """Slides that can be extracted: their patients are known, the encoder is loaded.

    Attributes:
        entries: The slides.
        patients: The patient of each slide, by its id.
        settings: The extraction that the bundle records.
        encoder: The encoder of these settings.
        folder: Where the features go.
        notes: Slides that are left out, and why, in sentences.
        slide_mpp: µm/px of level 0 that was given for the slides that record none.
        place: Where they are extracted.
        there: What is done there, where that is not here.
    """

    entries: tuple[SlideEntry, ...]
    patients: Mapping[str, str]
    settings: ExtractionSettings
    encoder: PatchEncoder
    folder: Path
    notes: tuple[str, ...]
    slide_mpp: float | None = None
    place: Place = field(default_factory=Place)
    there: SlidesThere | None = None

    def extract(self, progress: Progress | None = None) -> ExtractedSlides:
        """Extract the slides; one that cannot be used is told and left out.

        Raises:
            InputError: No slide could be used.
        """
        summary = self._summary(progress)
        unused = [record for record in summary.records if record.status != "done"]
        if len(unused) == len(self.entries):
            raise InputError(f"no slide could be used; the reasons are in {self.folder}")
        files: dict[str, tuple[Path, ...]] = {}
        for slide in sorted(record.slide for record in summary.with_status("done")):
            patient = self.patients[slide]
            files[patient] = (*files.get(patient, ()), self.folder / f"{slide}.h5")
        return ExtractedSlides(
            files,
            (
                *(f"{record.slide}: {record.status}: {record.reason}" for record in unused),
                *unused_mpp(self.slide_mpp, summary),
            ),
            tuple(record.slide for record in summary.with_status("failed")),
        )

    def _summary(self, progress: Progress | None) -> ExtractionSummary:
        if self.there is not None:
            return extract_elsewhere(self.entries, self.there, self.place, progress)
        return extract_slides(
            self.entries, self.encoder, self.folder, self.settings, progress=progress
        )


def plan_slides(info: BundleInfo, slides: Path, how: NewSlideSettings) -> SlidePlan:
    """Find slides and everything that their extraction needs; nothing is extracted yet.

    Args:
        info: Of the bundle that shall predict them.
        slides: A folder, or a table of slides.
        how: What the bundle does not say.

    Raises:
        InputError: All problems at once: the bundle records no extraction settings, the encoder's
            weights are not the same, the folder cannot be written or holds other features, no slide
            has a patient.
    """
    problems = Problems()
    told: list[str] = []
    settings = problems.attempt(partial(_settings, info))
    pattern, by_training = chosen_pattern(how.patient_pattern, info.patient_pattern)
    entries, patients = _known(slides, replace(how, patient_pattern=pattern), problems, told)
    told += by_training
    problems.attempt(partial(require_writable, how.folder))
    encoder = None
    if settings is not None:
        problems.attempt(partial(OutputFolder(how.folder).require_alike, settings))
        encoder = problems.attempt(
            partial(settings.load_encoder, how.weights, how.device, allow_code=how.allow_code)
        )
    problems.raise_any()
    assert settings is not None
    assert encoder is not None
    return SlidePlan(
        entries,
        patients,
        settings,
        encoder,
        how.folder,
        tuple(told),
        how.slide_mpp,
        how.place,
        None if how.place.engine == "local" else _work(settings, how),
    )


def _work(settings: ExtractionSettings, how: NewSlideSettings) -> SlidesThere:
    """What a task on another machine does."""
    return SlidesThere(
        settings,
        how.folder.resolve(),
        how.weights,
        device_of_tasks(how.device),
        workers=how.threads or 1,
        allow_code=how.allow_code,
    )


def _known(
    slides: Path, how: NewSlideSettings, problems: Problems, told: list[str]
) -> tuple[tuple[SlideEntry, ...], dict[str, str]]:
    """The slides whose patient is known, and each one's patient."""
    try:
        found = list_slides(slides, mpp_if_unrecorded=how.slide_mpp, tell=told.append)
        entries, other_types = _of_sample_types(found, how.sample_types)
        patients, unnamed = _patients(entries, how.patient_pattern, slides)
        patients = _wanted(patients, how.patients)
    except InputError as error:
        problems.add(error.problems)
        return (), {}
    told += [*other_types, *unnamed]
    return tuple(entry for entry in entries if entry.slide_id in patients), patients


def predict_slides(
    bundle: Bundle,
    slides: Path,
    how: NewSlideSettings,
    *,
    genomics: Mapping[str, pd.DataFrame] | None = None,
    max_missing_genes: float = 0.2,
    check_scale: bool = True,
    thresholds: Mapping[NetworkName, float] | None = None,
    progress: Progress | None = None,
) -> Predictions:
    """Predict patients from their slides, and from genomics where it is given as well.

    What ``histodistill predict --slides`` does. All that can be checked is checked before a slide
    is read.

    Args:
        bundle: A trained model.
        slides: A folder, or a table of slides.
        how: How the slides are extracted.
        genomics: Blocks by the names that the bundle knows, patients x genes.
        max_missing_genes: Share of a block's genes that may be absent, and are imputed.
        check_scale: Whether genes on another scale than the training patients' are refused.
        thresholds: Operating thresholds instead of the bundle's own, for two classes.
        progress: Who is told how the extraction goes.

    Returns:
        The predictions; their notes tell of slides that were left out as well.

    Raises:
        InputError: As :func:`plan_slides` and :func:`histodistill.predict`.
    """
    problems = Problems()
    problems.attempt(
        lambda: check_request(
            bundle,
            genomics or {},
            max_missing_genes=max_missing_genes,
            check_scale=check_scale,
            thresholds=thresholds,
        )
    )
    plan = problems.attempt(partial(plan_slides, bundle.info, slides, how))
    problems.raise_any()
    assert plan is not None
    extracted = plan.extract(progress)
    predicted = predict(
        bundle,
        bags=open_bags(extracted.files),
        genomics=genomics,
        max_missing_genes=max_missing_genes,
        check_scale=check_scale,
        thresholds=thresholds,
        device=how.device,
    )
    notes = (*plan.notes, *extracted.notes, *predicted.notes)
    return replace(predicted, notes=notes, failed=extracted.failed)


def _patients(
    entries: list[SlideEntry], pattern: str | None, slides: Path
) -> tuple[dict[str, str], list[str]]:
    """The patient of each slide, by its id; and a note of the slides that have none."""
    read = patient_reader(pattern)
    found = {entry.slide_id: entry.patient or read(entry.slide_id) for entry in entries}
    patients = {slide: patient for slide, patient in found.items() if patient}
    unnamed = [slide for slide in found if slide not in patients]
    if not unnamed:
        return patients, []
    told = f"no patient is recognised in the names of {listed(unnamed)}"
    if not patients:
        raise InputError(
            f"{slides}: {told}; give --patient-pattern, or a table of slides with a column "
            "'patient'"
        )
    return patients, [f"{told}; left out"]


def _wanted(patients: dict[str, str], wanted: Collection[str]) -> dict[str, str]:
    """The patient of each slide, for those of some patients; for all slides if nobody is named."""
    unknown = sorted(set(wanted).difference(patients.values()))
    if unknown:
        raise InputError(f"nobody of this name has slides: {listed(unknown)}")
    return {s: p for s, p in patients.items() if p in wanted} if wanted else patients


def _of_sample_types(
    entries: list[SlideEntry], wanted: Collection[str]
) -> tuple[list[SlideEntry], list[str]]:
    """The slides of the wanted TCGA sample types, and a note of the others."""
    kinds = {entry.slide_id: unwanted_sample_type(entry.slide_id, wanted) for entry in entries}
    left_out = {slide: kind for slide, kind in kinds.items() if kind is not None}
    if not left_out:
        return entries, []
    told = (
        f"{len(left_out)} slides of other sample types than {listed(sorted(wanted))} are left "
        f"out (by TCGA sample type {left_out_types(left_out.values())}): "
        f"{listed(sorted(left_out), 5)}"
    )
    if len(left_out) == len(entries):
        raise InputError(f"{told}; no slide is left: name the types with --sample-type")
    return [entry for entry in entries if entry.slide_id not in left_out], [told]


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
