"""What a folder of patch features, or of slides to extract, holds and whose it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from histodistill.barcodes import patient_of
from histodistill.cohort import SlideIndex, find_slides
from histodistill.drafting.given import Given
from histodistill.drafting.naming import naming_of
from histodistill.drafting.variation import Variation, measured_variation
from histodistill.errors import InputError, listed
from histodistill.extraction import list_slides

if TYPE_CHECKING:
    from histodistill.features import SlideFeatures

_EACH_FILE = "^(.*)$"
_INSPECTED = 12
_FEATURES = "features"


@dataclass(frozen=True)
class Slides:
    """The slides of a cohort.

    Attributes:
        directory: The folder of their patch features, which may still have to be made.
        table: The table of their patients, where names do not tell them.
        pattern: The pattern that finds the patient in a name; None where a barcode tells.
        patients: Known patients with a slide.
        patches: Median number of patches of a slide; None where none is extracted yet.
        variation: How much patches differ within patients; None where it could not be measured.
        remarks: What was found, in sentences.
        decide: What a person must decide, in sentences.
        instead: Lines of YAML below `cohort` that a person may want.
    """

    directory: Path
    table: Path | None = None
    pattern: str | None = None
    patients: frozenset[str] = frozenset()
    patches: float | None = None
    variation: Variation | None = None
    remarks: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()


def look_at_slides(given: Given, patients: Collection[str], beside: Path) -> Slides | None:
    """Look at the slides that were given.

    Args:
        given: The user's files.
        patients: The patients of the clinical table.
        beside: The folder of the experiment's file, where features go that are to be extracted.

    Returns:
        What was found; None where neither features nor slides were given.
    """
    if given.features is None:
        if given.slide_images is None:
            return None
        return _to_extract(given.slide_images, patients, beside / _FEATURES)
    try:
        if given.slide_table is not None:
            found = _by_table(given.features, given.slide_table, patients)
        else:
            found = _by_name(given.features, patients)
    except InputError as error:
        return Slides(given.features, given.slide_table, decide=error.problems)
    return found


def _to_extract(images: Path, patients: Collection[str], features: Path) -> Slides:
    """Slides whose features are still to be made."""
    command = f'histodistill extract "{images}" --encoder ENCODER --out "{features}"'
    extract = (
        "patch features are not there yet; make them first (ENCODER: one of `histodistill extract "
        f"--help`, the same for all slides): {command}"
    )
    try:
        names = [entry.slide_id for entry in list_slides(images)]
    except InputError as error:
        return Slides(features, decide=error.problems)
    named = _named(names, patients, images)
    return Slides(
        features,
        pattern=named.pattern,
        patients=named.patients,
        remarks=named.remarks,
        decide=(extract, *named.decide),
        instead=named.instead,
    )


def _found(features: Path, **options: Any) -> SlideIndex:
    """The feature files of a folder, of any layout."""
    from histodistill.features.layouts.registry import companion_patterns, feature_suffixes

    return find_slides(
        features, suffixes=feature_suffixes(), companions=companion_patterns(), **options
    )


def _by_table(features: Path, table: Path, patients: Collection[str]) -> Slides:
    index = _found(features, table=table, leave_out_missing=True)
    files = [path for paths in index.slides.values() for path in paths]
    known = {patient: index.slides[patient] for patient in index.slides if patient in patients}
    variation, unreadable = _variation(known)
    decide, instead = [*unreadable], []
    if index.missing:
        decide.append(
            f"{len(index.missing)} slides of {table} have no features under {features} "
            f"({listed([name for _, name in index.missing], 3)}); extract them, or take the line "
            "`missing_slides: leave out` in."
        )
        instead.append("missing_slides: leave out")
    if not known:
        decide.append(_nobody(table, list(index.slides), patients))
    slides = _inspected(files)
    return Slides(
        features,
        table=table,
        patients=frozenset(known),
        patches=_patches(slides),
        variation=variation,
        remarks=(*_layout(slides, len(files)), *index.notes),
        decide=tuple(decide),
        instead=tuple(instead),
    )


def _by_name(features: Path, patients: Collection[str]) -> Slides:
    """Features whose names tell the patients."""
    each = _found(features, pattern=_EACH_FILE)
    files = [path for paths in each.slides.values() for path in paths]
    named = _named(list(each.slides), patients, features)
    slides = _inspected(files)
    variation, unreadable = _variation(
        {
            patient: [path for name in own for path in each.slides[name]]
            for patient, own in named.slides.items()
        }
    )
    return Slides(
        features,
        pattern=named.pattern,
        patients=named.patients,
        patches=_patches(slides),
        variation=variation,
        remarks=(*_layout(slides, len(files)), *each.notes, *named.remarks),
        decide=(*unreadable, *named.decide),
        instead=named.instead,
    )


@dataclass(frozen=True)
class _Named:
    """The patients in the names of slides, and the names of the slides of each."""

    pattern: str | None
    slides: Mapping[str, Sequence[str]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    decide: tuple[str, ...] = ()
    instead: tuple[str, ...] = ()

    @property
    def patients(self) -> frozenset[str]:
        """Everybody who has a slide."""
        return frozenset(self.slides)


def _named(names: Sequence[str], patients: Collection[str], folder: Path) -> _Named:
    naming = naming_of(names, patients, patient_of)
    if not naming.matched:
        instead = "patient_pattern: '^([^_]+)_'   # what stands in ( ) is the patient"
        return _Named(None, decide=(_nobody(folder, names, patients),), instead=(instead,))
    how = "a TCGA barcode" if naming.pattern is None else f"the pattern {naming.pattern}"
    found = defaultdict(list)
    for name in naming.matched:
        found[_patient(name, naming.pattern)].append(name)
    remarks = [f"The patient of a slide is read from its name, by {how}."]
    left = [name for name in names if name not in set(naming.matched)]
    if left:
        remarks.append(
            f"{len(left)} of {len(names)} slides are of nobody in the clinical table "
            f"({listed(left, 3)})."
        )
    return _Named(naming.pattern, found, tuple(remarks))


def _patient(name: str, pattern: str | None) -> str:
    """The patient of a slide whose name is known to tell one."""
    match = None if pattern is None else re.search(pattern, name)
    return str(patient_of(name)) if match is None else match[1]


def _nobody(where: Path, names: Sequence[str], patients: Collection[str]) -> str:
    return (
        f"no slide of {where} is recognised as one of a patient of the clinical table: slides are "
        f"named such as {listed(list(names), 2)}, patients such as {listed(sorted(patients), 2)}. "
        "Write a `patient_pattern` below `cohort`, or give the table of the slides' patients "
        "(--slides FILE)."
    )


def _inspected(files: Sequence[Path]) -> list[SlideFeatures]:
    """The heads of some feature files, spread over the folder; the audit reads them all."""
    from histodistill.features import inspect

    step = max(1, len(files) // _INSPECTED)
    return [inspect(path) for path in sorted(files)[::step][:_INSPECTED]]


def _variation(
    files: Mapping[str, Sequence[Path]],
) -> tuple[Variation | None, tuple[str, ...]]:
    """How much patches differ within patients, or what is wrong with files that were looked at."""
    try:
        return measured_variation(files), ()
    except InputError as error:
        return None, error.problems


def _patches(slides: Sequence[SlideFeatures]) -> float:
    return median(slide.n_patches for slide in slides)


def _layout(slides: Sequence[SlideFeatures], n_files: int) -> Iterator[str]:
    """What the files are, by those that were looked at."""
    layouts = Counter(slide.layout for slide in slides)
    widths = sorted({slide.width for slide in slides})
    encoders = sorted({slide.encoder for slide in slides if slide.encoder})
    told = ", ".join(encoders) if encoders else "an encoder that the files do not name"
    yield (
        f"{n_files} feature files ({', '.join(layouts)}), {' or '.join(map(str, widths))} features "
        f"a patch, by {told}; about {_patches(slides):.0f} patches a slide."
    )
