"""The audit: everything is read and counted before any training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.cohort import fold_table
from histodistill.errors import InputError
from histodistill.experiment.data import ExperimentData, Progress, load
from histodistill.experiment.folds import folds_for
from histodistill.experiment.gene_checks import gene_name_problems
from histodistill.experiment.settings import Experiment
from histodistill.files import whole_file
from histodistill.genomics import select_genes

MODALITIES = ("slides and genomics", "slides alone", "genomics alone")


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        problems: What must be mended before a result can be trusted, in sentences.
        notes: What was resolved or left out, in sentences.
        counts: Patients by target, class, modality and site; class ``unknown`` where the
            label is empty.
        excluded: Columns PATIENT, target (empty for all targets) and reason.
        folds: Patients by target, repeat, fold, part and class.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...] = ()
    counts: pd.DataFrame | None = None
    excluded: pd.DataFrame | None = None
    folds: pd.DataFrame | None = None

    def save(self, folder: Path) -> None:
        """Write ``counts.csv``, ``excluded.csv`` and ``folds.csv``, those that there are."""
        tables = {"counts": self.counts, "excluded": self.excluded, "folds": self.folds}
        for name, table in tables.items():
            if table is not None:
                with whole_file(folder / f"{name}.csv") as temporary:
                    table.to_csv(temporary, index=False)


def audit(experiment: Experiment, progress: Progress | None = None) -> Audit:
    """Read everything that the experiment names, and say whether it can be trusted."""
    try:
        data = load(experiment, progress)
    except InputError as error:
        return Audit(error.problems)
    problems = [*gene_name_problems(experiment, data), *_selection_problems(experiment, data)]
    notes = list(data.notes)
    tables = []
    for target, settings in experiment.targets.items():
        try:
            made = folds_for(experiment, data, target)
        except InputError as error:
            problems.extend(error.problems)
            continue
        notes.extend(made.notes)
        table = fold_table(made.folds, data.labels(target), settings.classes)
        table.insert(0, "target", target)
        problems.extend(
            f"{lack}; use fewer folds or another scheme"
            for lack in _missing_classes(table, settings.classes, ("train", "validation"))
        )
        notes.extend(
            f"{lack}; figures that need it are undefined there"
            for lack in _missing_classes(table, settings.classes, ("test",))
        )
        tables.append(table)
    return Audit(
        tuple(problems),
        tuple(notes),
        count_patients(experiment, data),
        excluded_patients(experiment, data),
        _joined(tables) if tables else None,
    )


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The targets' tables in one; counts of classes that a target does not have are empty."""
    joined = pd.concat(tables, ignore_index=True)
    return joined.astype(dict.fromkeys(joined.select_dtypes("float").columns, "Int64"))


def count_patients(experiment: Experiment, data: ExperimentData) -> pd.DataFrame:
    """Patients with slides or genomics, by target, class, modality and site."""
    modality = {p: _modality(data, p) for p in data.patients}
    rows = [
        {
            "target": target,
            "class": _class_name(settings.classes, data.clinical.labels.at[patient, target]),
            "modality": modality[patient],
            "site": data.clinical.sites.get(patient),
        }
        for target, settings in experiment.targets.items()
        for patient in data.patients
    ]
    columns = ["target", "class", "modality", "site"]
    counted = pd.DataFrame(rows, columns=columns).fillna({"site": "unknown"})
    return counted.groupby(columns, sort=True).size().reset_index(name="patients")


def excluded_patients(experiment: Experiment, data: ExperimentData) -> pd.DataFrame:
    """Everybody who is left out, with one reason each: for all targets, or for one."""
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


def _selection_problems(experiment: Experiment, data: ExperimentData) -> Iterator[str]:
    """Selections of genes that cannot work on this cohort; their outcome is thrown away."""
    for name, block in experiment.genomics.items():
        chosen = block.selection
        if chosen.method == "univariate":  # needs classes, which the folds are checked for
            continue
        try:
            select_genes(
                data.genomics[name],
                chosen.method,
                chosen.n_genes,
                survival=data.clinical.survival,
                genes=chosen.genes,
                exclude=chosen.exclude,
            )
        except InputError as error:
            yield from (f"genomics.{name}: {problem}" for problem in error.problems)


def _modality(data: ExperimentData, patient: str) -> str:
    slides, genes = patient in data.with_slides, patient in data.with_genes
    return MODALITIES[0] if slides and genes else MODALITIES[1] if slides else MODALITIES[2]


def _class_name(classes: tuple[str, ...], label: object) -> str:
    return "unknown" if pd.isna(label) else classes[int(str(label))]  # type: ignore[call-overload]


def _missing_classes(
    table: pd.DataFrame, classes: tuple[str, ...], parts: tuple[str, ...]
) -> list[str]:
    """Where a class is missing from one of the parts."""
    return [
        f"target {row['target']}: repeat {row['repeat']} fold {row['fold']}: the {row['part']} "
        f"part has no patient of class {name}"
        for row in table.to_dict("records")
        for name in classes
        if row[name] == 0 and row["part"] in parts
    ]
