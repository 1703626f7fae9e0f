"""The audit: everything is read and counted before any training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.cohort import Fold, fold_table
from histodistill.errors import InputError, listed
from histodistill.experiment.data import ExperimentData, Progress, load
from histodistill.experiment.folds import divided
from histodistill.experiment.foreign_parts import foreign_part_problems
from histodistill.experiment.member_parts import member_problems
from histodistill.experiment.plausibility import plausibility_notes
from histodistill.experiment.same_patients import repeated_slides
from histodistill.experiment.settings import Experiment
from histodistill.experiment.unlabelled import told, unlabelled_teachers
from histodistill.experiment.unlike_slides import misplaced_patches, unlike_slides
from histodistill.gate.patterns import require_bounded_pattern
from histodistill.spreadsheets import write_csv

MODALITIES = ("slides and genomics", "slides alone", "genomics alone")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        problems: What must be mended before a result can be trusted, in sentences.
        notes: What was resolved or left out, in sentences.
        counts: Patients by target, class, modality and site; class ``unknown`` where the
            label is empty.
        excluded: Columns PATIENT, target (empty for all targets), reason, and teaches: the
            methods that learn from the patient all the same.
        folds: Patients by target, repeat, fold, part and class.
        modalities: Patients by target, repeat, fold, part and modality.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    counts: pd.DataFrame | None = None
    excluded: pd.DataFrame | None = None
    folds: pd.DataFrame | None = None
    modalities: pd.DataFrame | None = None

    def save(self, folder: Path) -> None:
        """Write ``counts.csv`` and so on, a file for each table that there is."""
        tables = {
            "counts": self.counts,
            "excluded": self.excluded,
            "folds": self.folds,
            "modalities": self.modalities,
        }
        for name, table in tables.items():
            if table is not None:
                write_csv(folder / f"{name}.csv", table)


def audit(experiment: Experiment, progress: Progress | None = None) -> Audit:
    """Read everything that the experiment names, and say whether it can be trusted."""
    try:
        data = load(experiment, progress)
    except InputError as error:
        return Audit(error.problems)
    problems: list[str] = []
    notes = [*data.notes, *_modality_notes(data), *_survival_notes(experiment)]
    notes += _pattern_notes(experiment.cohort.patient_pattern)
    notes += [*repeated_slides(data.bags), *unlike_slides(data.bags)]
    notes += misplaced_patches(data.bags)
    notes += plausibility_notes(experiment, data)
    tables, by_modality, teachers = [], [], []
    folds: dict[str, Sequence[Fold]] = {}
    for target, settings in experiment.targets.items():
        try:
            made = divided(experiment, data, target)
        except InputError as error:
            problems.extend(error.problems)
            continue
        folds[target] = made.folds
        problems.extend(made.problems)
        notes.extend(made.notes)
        table = fold_table(made.folds, data.labels(target), settings.classes)
        table.insert(0, "target", target)
        tables.append(table)
        by_modality.append(_by_modality(target, made.folds, data))
        teaching = unlabelled_teachers(experiment, data, target, made.folds)
        notes.extend(told(teaching, target, len(data.patients) - len(data.labels(target))))
        teachers.append(teaching)
    problems.extend(member_problems(experiment, data, folds))
    problems.extend(foreign_part_problems(experiment, data, folds))
    excluded = excluded_patients(experiment, data)
    return Audit(
        tuple(problems),
        tuple(notes),
        count_patients(experiment, data),
        excluded.assign(teaches=_teaches(excluded, teachers)),
        _joined(tables) if tables else None,
        pd.concat(by_modality, ignore_index=True) if by_modality else None,
    )


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The targets' tables in one; counts of classes that a target does not have are empty."""
    joined = pd.concat(tables, ignore_index=True)
    return joined.astype(dict.fromkeys(joined.select_dtypes("float").columns, "Int64"))


def count_patients(experiment: Experiment, data: ExperimentData) -> pd.DataFrame:
    """Patients with slides or genomics, by target, class, modality and site."""
    has = {p: modality(data, p) for p in data.patients}
    rows = [
        {
            "target": target,
            "class": _class_name(settings.classes, data.clinical.labels.at[patient, target]),
            "modality": has[patient],
            "site": data.clinical.sites.get(patient),
        }
        for target, settings in experiment.targets.items()
        for patient in data.patients
    ]
    columns = ["target", "class", "modality", "site"]
    counted = pd.DataFrame(rows, columns=columns).fillna({"site": "unknown"})
    return counted.groupby(columns, sort=True).size().reset_index(name="patients")


def excluded_patients(experiment: Experiment, data: ExperimentData) -> pd.DataFrame:
    """Who is left out of the results, with one reason each: for all targets, or for one."""
    rows = [
        {"PATIENT": patient, "target": "", "reason": reason}
        for patient, reason in data.excluded.itertuples(index=False)
    ]
    for target, settings in experiment.targets.items():
        labelled = set(data.labels(target).index)
        reason = f"the column {settings.column} tells no class"
        rows += [
            {"PATIENT": patient, "target": target, "reason": reason}
            for patient in data.patients
            if patient not in labelled
        ]
    return pd.DataFrame(rows, columns=["PATIENT", "target", "reason"])


def _teaches(excluded: pd.DataFrame, teachers: Sequence[pd.DataFrame]) -> list[str]:
    """The methods that learn from each of those who are left out, joined; empty for none."""
    methods: dict[tuple[str, str], list[str]] = {}
    for table in teachers:
        for patient, target, method, _ in table.itertuples(index=False):
            methods.setdefault((patient, target), []).append(method)
    left_out = zip(excluded["PATIENT"], excluded["target"], strict=True)
    return [", ".join(dict.fromkeys(methods.get(who, ()))) for who in left_out]


def _by_modality(target: str, folds: Sequence[Fold], data: ExperimentData) -> pd.DataFrame:
    """Patients by part of each fold and by what they have."""
    has = pd.Series({patient: modality(data, patient) for patient in data.patients})
    codes = pd.Series([MODALITIES.index(name) for name in has], index=has.index)
    table = fold_table(folds, codes, MODALITIES).drop(columns=["patients", "unlabelled"])
    table.insert(0, "target", target)
    return table


def _modality_notes(data: ExperimentData) -> Iterator[str]:
    """That patients without slides are divided like the others, which nobody asked for."""
    alone = [patient for patient in data.patients if patient not in data.with_slides]
    if data.with_slides and alone:
        yield (
            f"{len(alone)} of {len(data.patients)} patients have genomics and no slides "
            f"({listed(alone, 3)}); they are divided into folds like all others: they train and "
            "test the networks that read genes, and count in no result of slides. To leave them "
            "out, take them off the clinical table"
        )


def _survival_notes(experiment: Experiment) -> Iterator[str]:
    selections = [block.selection.method for block in experiment.genomics.values()]
    if experiment.cohort.survival is not None and "cox" not in selections:
        yield (
            "cohort.survival: no block of genes is selected by `cox`, so that no model learns from "
            "follow-up; it is read to tell patients apart alone"
        )


def _pattern_notes(pattern: str | None) -> Iterator[str]:
    """That `predict` will not read names by a pattern which could take for ever."""
    if pattern is None:
        return
    try:
        require_bounded_pattern(
            pattern,
            "cohort.patient_pattern",
            "models trained here will read names by --patient-pattern alone; repeat no group, or "
            "write `++` in place of `+`",
        )
    except InputError as error:
        yield from (problem.removesuffix(".") for problem in error.problems)


def modality(data: ExperimentData, patient: str) -> str:
    """What a patient has, one of ``MODALITIES``."""
    slides, genes = patient in data.with_slides, patient in data.with_genes
    return MODALITIES[0] if slides and genes else MODALITIES[1] if slides else MODALITIES[2]


def _class_name(classes: tuple[str, ...], label: object) -> str:
    return "unknown" if pd.isna(label) else classes[int(str(label))]  # type: ignore[call-overload]
