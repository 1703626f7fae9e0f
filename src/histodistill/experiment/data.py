"""All the inputs of an experiment, read and checked together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import pandas as pd

from histodistill.barcodes import PRIMARY_TUMOUR
from histodistill.cohort import (
    ClinicalTable,
    SlideIndex,
    find_slides,
    read_clinical,
)
from histodistill.cohort.patients import alike_in_other_spelling, other_spellings
from histodistill.errors import InputError, listed
from histodistill.experiment.genomic_checks import genomic_problems
from histodistill.experiment.inputs import BlockSettings, FeatureSettings
from histodistill.experiment.same_patients import same_patients
from histodistill.experiment.settings import Experiment
from histodistill.features import BagStore, open_bags, user_cache
from histodistill.features.flat import flat_bags
from histodistill.features.layouts.registry import companion_patterns, feature_suffixes
from histodistill.genomics import GenomicTable, read_genomic_table

T = TypeVar("T")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ExperimentData:
    """The inputs of an experiment.

    Attributes:
        clinical: Labels, sites and follow-up.
        bags: Bags of the clinical table's patients; None where no slides are given.
        genomics: Blocks by name, patients x genes, of the clinical table's patients.
        excluded: Columns PATIENT and reason: who cannot take part in anything.
        notes: What was resolved while reading, in sentences.
    """

    clinical: ClinicalTable
    bags: BagStore | None
    genomics: dict[str, pd.DataFrame]
    excluded: pd.DataFrame
    notes: tuple[str, ...]

    @cached_property
    def with_slides(self) -> frozenset[str]:
        """Patients with at least one slide."""
        return frozenset(self.bags.patients if self.bags else ())

    @cached_property
    def with_genes(self) -> frozenset[str]:
        """Patients with at least one genomic block."""
        return frozenset(p for table in self.genomics.values() for p in table.index)

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Patients of the clinical table with slides, genomics or both, in order."""
        present = self.with_slides | self.with_genes
        return tuple(patient for patient in self.clinical.patients if patient in present)

    def labels(self, target: str) -> pd.Series[int]:
        """Known class indices of the patients who have slides or genomics."""
        return self.clinical.labels[target].loc[list(self.patients)].dropna().astype(int)


class _Reading:
    """Runs every reader and keeps what each finds wrong, so that all is told at once."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def attempt(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except InputError as error:
            self.problems.extend(error.problems)
            return None


def load(experiment: Experiment, progress: Progress | None = None) -> ExperimentData:
    """Read every table, every genomic block and every bag.

    Args:
        experiment: The experiment.
        progress: Called with (bags read, bags in all).

    Raises:
        InputError: Everything that is wrong in any of the files, or that the experiment names and
            they lack, all at once.
    """
    reading = _Reading()
    clinical = reading.attempt(lambda: _read_clinical(experiment))
    index = reading.attempt(lambda: _find_slides(experiment))
    blocks = {
        name: reading.attempt(partial(read_block, name, block, experiment.cohort.sample_types))
        for name, block in experiment.genomics.items()
    }
    known = set(clinical.patients) if clinical else None
    bags = (
        reading.attempt(lambda: _open_bags(experiment, index, known, progress)) if index else None
    )
    if bags is not None and bags.packed is None:  # packing has read them all
        reading.problems.extend(_read_all(bags, progress))
    tables = {name: block for name, block in blocks.items() if block is not None}
    if clinical is not None:
        reading.problems.extend(_classes_of_nobody(experiment, clinical))
    reading.problems.extend(genomic_problems(experiment, tables, clinical))
    if clinical is not None and not reading.problems:
        values = {name: table.values for name, table in tables.items()}
        reading.problems.extend(same_patients(clinical, bags, values))
        reading.problems.extend(flat_bags(bags))
    if reading.problems or clinical is None:
        raise InputError(*reading.problems)
    return _assembled(clinical, index, bags, tables)


def load_bags(
    experiment: Experiment, progress: Progress | None = None, *, check: bool = False
) -> BagStore:
    """Open the bags that the experiment uses, packed as its settings say, and nothing else.

    Args:
        experiment: The experiment.
        progress: Called with (slides packed, slides in all) while packing.
        check: Whether to compare the content hashes of all files, not only sizes and dates.

    Raises:
        InputError: Everything that is wrong in any of the files, all at once.
    """
    reading = _Reading()
    clinical = reading.attempt(lambda: _read_clinical(experiment))
    index = reading.attempt(lambda: _find_slides(experiment))
    if reading.problems or clinical is None:
        raise InputError(*reading.problems)
    if index is None:
        raise InputError(f"{experiment.name}: the experiment has no `features`")
    return _open_bags(experiment, index, set(clinical.patients), progress, check=check)


def read_block(
    name: str, block: BlockSettings, sample_types: Collection[str] = (PRIMARY_TUMOUR,)
) -> GenomicTable:
    """Read one genomic block as its settings say, the samples of some TCGA sample types."""
    return read_genomic_table(
        block.file,
        name=name,
        format=block.format,
        transform=block.transform,
        gdc_column=block.gdc_column,
        patient_column=block.patient_column,
        sample_pattern=block.sample_pattern,
        sample_types=sample_types,
    )


def _read_clinical(experiment: Experiment) -> ClinicalTable:
    cohort = experiment.cohort
    return read_clinical(
        cohort.clinical,
        list(experiment.targets.values()),
        patient_column=cohort.patient_column,
        site_column=cohort.site_column,
        survival=cohort.survival,
    )


def _find_slides(experiment: Experiment) -> SlideIndex | None:
    if experiment.features is None:
        return None
    cohort = experiment.cohort
    return find_slides(
        experiment.features.directory,
        suffixes=feature_suffixes(experiment.features.layout),
        companions=companion_patterns(experiment.features.layout),
        table=cohort.slides,
        patient_column=cohort.patient_column,
        filename_column=cohort.filename_column,
        pattern=cohort.patient_pattern,
        sample_types=cohort.sample_types,
        leave_out_missing=cohort.missing_slides == "leave out",
    )


def _open_bags(
    experiment: Experiment,
    index: SlideIndex,
    known: set[str] | None,
    progress: Progress | None,
    *,
    check: bool = False,
) -> BagStore:
    """Open the bags of the clinical table's patients; all bags where that table failed."""
    slides = {p: files for p, files in index.slides.items() if known is None or p in known}
    if not slides or experiment.features is None:
        raise InputError(
            f"{experiment.features and experiment.features.directory}: no slide belongs to a "
            f"patient of {experiment.cohort.clinical}; slides name patients such as "
            f"{listed(sorted(index.slides), 3)}"
            f"{alike_in_other_spelling(index.slides, known or ())}"
        )
    settings = experiment.features
    # Without the clinical table some bags belong to nobody, and shall not be packed.
    cache = _cache(settings) if known is not None else None
    return open_bags(
        slides,
        memory_limit_bytes=int(settings.memory_gb * 1e9),
        dtype=settings.dtype,
        layout=settings.layout,
        cache=cache,
        check=check,
        progress=progress if cache else None,
    )


def _cache(settings: FeatureSettings) -> Path | None:
    if settings.cache is None:
        return None
    return user_cache() if settings.cache == "auto" else Path(settings.cache)


def _read_all(bags: BagStore, progress: Progress | None) -> list[str]:
    """Read every bag once: damaged files are refused now, and kept bags are loaded."""
    problems: list[str] = []
    for done, patient in enumerate(bags.patients, start=1):
        try:
            bags.read(patient)
        except InputError as error:
            problems.extend(error.problems)
        if progress is not None:
            progress(done, len(bags.patients))
    return problems


def _classes_of_nobody(experiment: Experiment, clinical: ClinicalTable) -> Iterator[str]:
    """Classes that the experiment names and that no patient has."""
    for name, target in experiment.targets.items():
        found = set(clinical.labels[name].dropna())
        absent = [c for label, c in enumerate(target.classes) if label not in found]
        if absent:
            yield (
                f"{experiment.cohort.clinical}: column '{target.column}' has no patient of class "
                f"{listed([repr(c) for c in absent])}; correct `targets: {name}: classes` (or "
                "`map`), or the column"
            )


def _assembled(
    clinical: ClinicalTable,
    index: SlideIndex | None,
    bags: BagStore | None,
    blocks: dict[str, GenomicTable],
) -> ExperimentData:
    known = pd.Index(clinical.patients)
    genomics = {n: b.values.loc[b.values.index.intersection(known)] for n, b in blocks.items()}
    slides = set(index.slides) if index else set()
    genes = {p for block in blocks.values() for p in block.values.index}
    stranger = "has slides or genomics, but is not in the clinical table"
    empty = "is in the clinical table, but has neither slides nor genomics"
    excluded = [
        *((patient, stranger) for patient in sorted((slides | genes) - set(known))),
        *((patient, empty) for patient in known if patient not in slides | genes),
    ]
    # Problems of scale arrive here only where the user asked for no check.
    notes = [*clinical.notes, *_spelled_otherwise(set(known), slides | genes)]
    notes += _strangers((slides | genes) - set(known))
    notes += [note for b in blocks.values() for note in (*b.notes, *b.scale_problems)]
    if index is not None:
        notes += slide_notes(index)
    if bags is not None:
        notes += bags.notes
    return ExperimentData(
        clinical,
        bags,
        genomics,
        pd.DataFrame(excluded, columns=["PATIENT", "reason"]),
        tuple(notes),
    )


def _strangers(patients: set[str]) -> Iterator[str]:
    # As where the clinical table was cut.
    if patients:
        yield (
            f"{len(patients)} patients have slides or genomics and are not in the clinical table "
            f"({listed(sorted(patients), 3)}); they take part in nothing"
        )


def _spelled_otherwise(known: set[str], present: set[str]) -> Iterator[str]:
    pairs = other_spellings(present - known, known)
    if pairs:
        yield (
            f"{len(pairs)} patients with slides or genomics may be in the clinical table in "
            f"another spelling, and are left out: {listed(pairs, 5)}; spell them alike"
        )


def slide_notes(index: SlideIndex) -> list[str]:
    """What was decided about feature files and which do not fit, in sentences."""
    notes = list(index.notes)
    if index.missing:
        names = [f"{name} ({patient})" for patient, name in index.missing]
        notes.append(f"slides of the table absent from the folder ({len(names)}): {listed(names)}")
    if index.unmatched:
        names = [path.name for path in index.unmatched]
        notes.append(f"slides that belong to no known patient ({len(names)}): {listed(names)}")
    return notes
