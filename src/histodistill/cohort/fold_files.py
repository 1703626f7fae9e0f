"""Folds that somebody else fixed: one ``splits_<k>.csv`` a fold, as CLAM and its heirs write."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from histodistill.cohort.folds import Fold, check_folds
from histodistill.cohort.patients import patient_names
from histodistill.errors import InputError, listed
from histodistill.tables import Column, read_table, resolved_columns

_COLUMNS = {"train": "train", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class FoldFiles:
    """Folds read from files.

    Attributes:
        folds: In the order of their numbers, with the cohort's labelled patients only.
        absent: Patients of the files who have no label in the cohort; they are left out.
        unassigned: Labelled patients of the cohort who are in no fold.
        untested: Labelled patients of the cohort who are in no test part (``unassigned``
            included): they get no out-of-fold prediction.
        notes: The same in sentences for the user.
    """

    folds: tuple[Fold, ...]
    absent: tuple[str, ...]
    unassigned: tuple[str, ...]
    untested: tuple[str, ...]
    notes: tuple[str, ...]


def read_folds(
    directory: Path,
    labels: pd.Series[int],
    classes: Sequence[str] = (),
    *,
    known: Collection[str] | None = None,
) -> FoldFiles:
    """Read a folder of ``splits_0.csv``, ``splits_1.csv``, ... and check them.

    Each has the columns ``train``, ``val`` and ``test`` with patients (of unequal lengths), and
    may have ``train_label``, ``val_label`` and ``test_label``: class names or class numbers.

    Args:
        directory: The folder.
        labels: Class of each patient (the index); patients with ``<NA>`` count as absent.
        classes: Names of the classes in the order of their labels.
        known: Everybody in the clinical table, with a label or without; a patient of the files
            who is not among them is a problem. None asks nobody.

    Returns:
        The folds, and who is missing on either side.

    Raises:
        InputError: Every problem found: no files or a gap in their numbers, absent columns,
            labels that contradict ``labels``, unknown patients, patients who cross (see
            ``check_folds``).
    """
    labels = labels.dropna()
    problems: list[str] = []
    notes: list[str] = []
    folds: list[Fold] = []
    named: set[str] = set()
    for index, path in enumerate(_files(directory)):
        table = _read_fold(path, problems, notes)
        if table is None:
            continue
        problems += _contradictions(table, labels, classes, path)
        parts = {part: table[column].dropna().tolist() for part, column in _COLUMNS.items()}
        named.update(*parts.values())
        members = {
            part: tuple(sorted(p for p in names if p in labels.index))
            for part, names in parts.items()
        }
        folds.append(Fold(index, 0, **members))
    if named or not problems:
        problems += _stranger_problems(directory, named, labels, known)
    if problems:
        raise InputError(*problems)
    try:
        check_folds(folds)
    except InputError as error:
        raise InputError(*(f"{directory}: {problem}" for problem in error.problems)) from None
    compared = _compared(directory, folds, named, set(labels.index))
    return replace(compared, notes=(*notes, *compared.notes))


def _read_fold(path: Path, problems: list[str], notes: list[str]) -> pd.DataFrame | None:
    """One file with its patients as the cohort names them; None where it lacks columns."""
    absent: list[str] = []
    wanted = [Column(column) for column in _COLUMNS.values()]
    table = resolved_columns(read_table(path, notes), wanted, path, notes, absent)
    problems += absent
    if absent:
        return None
    for column in _COLUMNS.values():
        table[column] = patient_names(table[column], path, notes).patients
    return table


def _stranger_problems(
    directory: Path, named: set[str], labels: pd.Series[int], known: Collection[str] | None
) -> Iterator[str]:
    """Folds of another cohort, or patients whom the clinical table does not have."""
    unknown = sorted(named.difference(known)) if known is not None else []
    if named.isdisjoint(labels.index):
        yield (
            f"{directory}: none of its patients (for example {min(named, default='')}) has a "
            "label in the cohort; are these the folds of another cohort or target?"
        )
    elif unknown:
        yield (
            f"{directory}: {len(unknown)} of its patients are not in the clinical table: "
            f"{listed(unknown)}; correct the names, or take them out of the fold files."
        )


def _files(directory: Path) -> list[Path]:
    """The files in the order of their numbers, which run from 0 without a gap."""
    numbered = {
        int(match[1]): path
        for path in directory.glob("splits_*.csv")
        if (match := re.fullmatch(r"splits_(\d+)\.csv", path.name))
    }
    if not numbered:
        raise InputError(f"{directory}: holds no fold files splits_0.csv, splits_1.csv, ...")
    gaps = [f"splits_{number}.csv" for number in range(max(numbered)) if number not in numbered]
    if gaps:
        raise InputError(f"{directory}: fold files are missing: {listed(gaps)}.")
    return [numbered[number] for number in sorted(numbered)]


def _contradictions(
    table: pd.DataFrame, labels: pd.Series[int], classes: Sequence[str], path: Path
) -> list[str]:
    wrong: list[str] = []
    compared = 0
    for column in _COLUMNS.values():
        if f"{column}_label" not in table.columns:
            continue
        pairs = table[[column, f"{column}_label"]].dropna()
        for patient, text in pairs.itertuples(index=False, name=None):
            if patient in labels.index:
                compared += 1
                if _label(text, classes) != int(labels[patient]):
                    wrong.append(
                        f"{patient} ('{text}', not {_class(int(labels[patient]), classes)})"
                    )
    if not wrong:
        return []
    hint = (
        " All of them do: are the classes declared in the other order?"
        if len(wrong) == compared
        else ""
    )
    return [
        f"{path}: labels contradict the clinical table for {listed(sorted(wrong))}; correct one "
        f"of the two.{hint}"
    ]


def _label(text: str, classes: Sequence[str]) -> int | None:
    """The label that a file's text means: a class name, else a class number."""
    if text in classes:
        return list(classes).index(text)
    # pandas writes whole numbers in a column with gaps as 1.0.
    number = re.fullmatch(r"(\d+)(?:\.0*)?", text)
    return int(number[1]) if number else None


def _class(label: int, classes: Sequence[str]) -> str:
    return f"'{classes[label]}'" if label < len(classes) else f"class {label}"


def _compared(
    directory: Path, folds: Sequence[Fold], named: set[str], cohort: set[str]
) -> FoldFiles:
    absent = tuple(sorted(named - cohort))
    unassigned = tuple(sorted(cohort - named))
    untested = tuple(sorted(cohort.difference(*(fold.test for fold in folds))))
    notes = [
        f"{directory}: {what} ({len(patients)}): {listed(patients)}."
        for patients, what in (
            (absent, "patients without a label in the cohort, left out of the folds"),
            (unassigned, "labelled patients of the cohort in no fold"),
            (untested, "labelled patients of the cohort in no test part"),
        )
        if patients
    ]
    return FoldFiles(tuple(folds), absent, unassigned, untested, tuple(notes))
