"""Predictions of bundles for an external cohort, joined with its labels, to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from histodistill.cohort import declared_target, read_clinical
from histodistill.errors import InputError, Problems
from histodistill.evaluation import (
    Question,
    attach_labels,
    check_predictions,
    contradictions,
    question_of,
    rows_of,
    targets_in,
    unanswered_notes,
)
from histodistill.spreadsheets import read_back
from histodistill.tables import read_table

# A table of one target, what answered each method, and notes.
_Labelled = tuple[pd.DataFrame, dict[str, str], list[str]]


@dataclass(frozen=True)
class LabelTable:
    """Where the labels of an external cohort stand, and what its cells mean.

    Attributes:
        path: A clinical table.
        column: The target's column; by default the target's name.
        patient_column: The column of patients.
        meanings: Class of a cell's content, None for unknown; classes in another case and the
            usual codes for unknown need none.
    """

    path: Path
    column: str | None = None
    patient_column: str = "PATIENT"
    meanings: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledPredictions:
    """Predictions that can be evaluated.

    Attributes:
        table: A checked predictions table, a method a file.
        bundles: For each method, the bundle and the file that its predictions are of.
        notes: Sentences on how the files were read, and who is not evaluated.
    """

    table: pd.DataFrame
    bundles: Mapping[str, str]
    notes: tuple[str, ...]


def label_predictions(
    paths: Sequence[Path], labels: LabelTable, asked: Question | None = None
) -> LabelledPredictions:
    """Read predictions of :func:`histodistill.predict` and give their patients their labels.

    Args:
        paths: Files of predictions, a bundle each, all of the same target or targets.
        labels: Where the labels stand.
        asked: Target, classes and positive class, for files that do not say them; of files with
            several targets, the target that is wanted, all by default.

    Raises:
        InputError: A file contradicts what is asked, or another file; nobody says what the
            predictions are of; labels that cannot be read; nobody has a label.
    """
    told: list[str] = []
    tables = [read_back(read_table(path, told)) for path in paths]
    asked = asked or Question(None, (), None)
    targets = list(dict.fromkeys(name for table in tables for name in targets_in(table)))
    several = any(len(targets_in(table)) > 1 for table in tables)
    if not several or asked.target in targets:
        tables = [rows_of(table, asked.target) for table in tables]
        joined, bundles, notes = _labelled(paths, tables, labels, asked)
        return LabelledPredictions(joined, bundles, (*told, *notes))
    _refuse_of_one(targets, labels, asked)
    found = _of_targets(paths, tables, targets, labels)
    joined = pd.concat([own for own, _, _ in found.values()], ignore_index=True)
    named = {
        f"{method}, {name}": text
        for name, (_, own, _) in found.items()
        for method, text in own.items()
    }
    said = dict.fromkeys(note for _, _, own in found.values() for note in own)
    table = check_predictions(joined, ", ".join(map(str, paths)))
    return LabelledPredictions(table, named, (*told, *said))


def _of_targets(
    paths: Sequence[Path],
    tables: Sequence[pd.DataFrame],
    targets: Sequence[str],
    labels: LabelTable,
) -> dict[str, _Labelled]:
    """What :func:`_labelled` makes of each target; the problems of all are told at once."""
    problems = Problems()
    found: dict[str, _Labelled] = {}
    for name in targets:
        own = [rows_of(table, name) for table in tables]
        made = problems.attempt(partial(_labelled, paths, own, labels, Question(name)))
        if made is not None:
            found[name] = made
    problems.raise_any()
    return found


def _refuse_of_one(targets: Sequence[str], labels: LabelTable, asked: Question) -> None:
    """Refuse what is said of one target, where files answer several and none is named."""
    given = {
        "--target": asked.target,
        "--column": labels.column,
        "--classes": asked.classes,
        "--positive": asked.positive,
        "--map": labels.meanings,
    }
    named = [option for option, value in given.items() if value]
    if asked.target is not None:
        raise InputError(f"no target {asked.target!r}: --target is one of {', '.join(targets)}")
    if named:
        raise InputError(
            f"the predictions are of {', '.join(targets)}, and {', '.join(named)} is of one: say "
            "which with --target"
        )


def _labelled(
    paths: Sequence[Path], tables: Sequence[pd.DataFrame], labels: LabelTable, asked: Question
) -> _Labelled:
    """The rows of one target with their labels; what answered each method; and notes."""
    said = [question_of(table, str(path)) for table, path in zip(tables, paths, strict=True)]
    question = _question(paths, said, asked)
    known, notes = read_labels(labels, question)
    methods = _method_names(paths, said)
    joined = [
        attach_labels(
            table,
            known,
            target=str(question.target),
            method=method,
            positive_class=question.positive,
            source=str(path),
        )
        for table, method, path in zip(tables, methods, paths, strict=True)
    ]
    # One file's rows must not be averaged with another's that has the same method names.
    table = check_predictions(pd.concat(joined, ignore_index=True), ", ".join(map(str, paths)))
    told = [
        note
        for own, path in zip(tables, paths, strict=True)
        for note in unanswered_notes(own, known, str(path))
    ]
    return table, _bundles(paths, said, methods), [*notes, *told]


def _question(paths: Sequence[Path], said: Sequence[Question], asked: Question) -> Question:
    """What all files and the user agree on."""
    problems = [
        problem
        for own, path in zip(said, paths, strict=True)
        for problem in contradictions(own, asked, str(path))
    ]
    if problems:
        raise InputError(*problems)
    return Question(
        asked.target or said[0].target,
        asked.classes or said[0].classes,
        asked.positive or said[0].positive,
    )


def read_labels(labels: LabelTable, asked: Question) -> tuple[pd.Series[str], tuple[str, ...]]:
    """Class name of every patient whose label is known, and notes."""
    if asked.target is None or not asked.classes:
        raise InputError(
            "the predictions do not say what they are of: --clinical needs --target and "
            "--classes (and --positive for two classes)"
        )
    declared = declared_target(
        asked.target, labels.column, asked.classes, asked.positive, labels.meanings
    )
    table = read_clinical(
        labels.path, [declared], patient_column=labels.patient_column, by_options=True
    )
    known = table.labels[asked.target].dropna()
    return known.map(lambda index: asked.classes[int(index)]), tuple(table.notes)


def _method_names(paths: Sequence[Path], said: Sequence[Question]) -> list[str]:
    """A name a file: its bundle's method, with the file's name where two have the same."""
    names = [own.method or path.stem for own, path in zip(said, paths, strict=True)]
    if len(set(names)) == len(names):
        return names
    return [f"{name} ({path.stem})" for name, path in zip(names, paths, strict=True)]


def _bundles(
    paths: Sequence[Path], said: Sequence[Question], methods: Sequence[str]
) -> dict[str, str]:
    return {
        method: f"{f'bundle {own.bundle}' if own.bundle else 'the file names no bundle'}; "
        f"predictions {path}"
        for method, own, path in zip(methods, said, paths, strict=True)
    }
