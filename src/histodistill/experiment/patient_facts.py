"""What an experiment's inputs tell of each patient beside the label: for reports, never learnt."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.cohort.patients import column_of_patients, empty_rows, patient_names
from histodistill.errors import InputError, listed
from histodistill.evaluation.grouping import levels_of
from histodistill.experiment.audit import modality
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment
from histodistill.tables import Column, read_table, resolved_columns, without_missing_codes

# Levels of copy number as GISTIC writes them.
_COPIES = {-2: "deep loss", -1: "loss", 0: "neutral", 1: "gain", 2: "amplified"}


def patient_facts(data: ExperimentData) -> pd.DataFrame:
    """A row a patient: ``site``, ``age`` (years, where known), ``slides``, ``patches``, ``has``."""
    patients = list(data.patients)
    with_slides, bags = data.with_slides, data.bags
    counted = [
        (len(bags.slides(p)), bags.n_patches(p)) if bags and p in with_slides else (0, 0)
        for p in patients
    ]
    facts = pd.DataFrame(counted, index=pd.Index(patients, name="PATIENT"), columns=_OF_SLIDES)
    facts.insert(0, "site", data.clinical.sites.reindex(patients))
    if data.clinical.ages is not None:
        facts.insert(1, "age", data.clinical.ages.reindex(patients))
    return facts.assign(has=[modality(data, patient) for patient in patients])


_OF_SLIDES = ["slides", "patches"]


def patient_groups(
    experiment: Experiment, data: ExperimentData, facts: pd.DataFrame
) -> dict[str, pd.Series]:
    """Columns by which subgroups are formed, values by patient.

    Site, age, number of slides, what a patient has, the class of every target, and the copy
    number of the experiment's ``genes`` in blocks of GISTIC levels; those with one value are left
    out.
    """
    slides = facts["slides"]
    groups: dict[str, pd.Series] = {
        "Site": facts["site"],
        "Age": facts["age"] if "age" in facts else pd.Series(dtype="float64"),
        "Slides": slides.where(slides > 0).map(_number_of_slides, na_action="ignore"),
        "Inputs": facts["has"],
    }
    for name, target in experiment.targets.items():
        groups[name] = data.labels(name).map(lambda label, known=target.classes: known[label])
    groups |= dict(_copy_numbers(experiment, data))
    return {name: column for name, column in groups.items() if len(column.dropna().unique()) > 1}


def _number_of_slides(slides: float) -> str:
    return f"{slides:.0f}" if slides < 3 else "3 or more"


def _copy_numbers(
    experiment: Experiment, data: ExperimentData
) -> Iterator[tuple[str, pd.Series[str]]]:
    for block, table in data.genomics.items():
        values = table.to_numpy(dtype=np.float64)
        if not np.isin(values[~np.isnan(values)], list(_COPIES)).all():
            continue
        for gene in experiment.genes:
            if gene in table:
                yield f"{gene} copy number ({block})", table[gene].dropna().map(_COPIES)


def user_columns(
    tables: Mapping[Path, str],
    columns: Sequence[str],
    option: str,
    patients: Collection[str],
    notes: list[str],
) -> dict[str, pd.Series]:
    """Columns that the user names, from the first of some tables that has each.

    Args:
        tables: Tables, each with its patient column, the clinical table first.
        columns: Names of columns.
        option: Option that messages name.
        patients: Who was predicted.
        notes: Takes what was read as another name, and columns that tell nobody apart.

    Returns:
        Values by patient, NaN where empty.

    Raises:
        InputError: A column that no table has or that has no value of who was predicted, or a
            patient with several values.
    """
    if not columns:
        return {}
    known = [_by_patient(path, patient, notes) for path, patient in tables.items()]
    found: dict[str, pd.Series] = {}
    problems: list[str] = []
    for name in columns:
        missing: list[str] = []
        for path, table in known:
            lacking: list[str] = []
            own = resolved_columns(table, [Column(name, option)], path, notes, lacking)
            if lacking:
                missing += lacking
                continue
            found[name] = _one_value(own[name], path, problems)
            break
        else:
            problems += [f"{option} {name}: {sentence}" for sentence in missing]
    levels = {n: levels_of(values[values.index.isin(patients)]) for n, values in found.items()}
    problems += [
        f"{option} {name}: has no value for any patient who was predicted"
        for name, own in levels.items()
        if own.empty
    ]
    if problems:
        raise InputError(*problems)
    notes += [
        f"{option} {name}: all patients who were predicted have {own.iloc[0]} or no value, so that "
        "it tells nobody apart"
        for name, own in levels.items()
        if len(set(own)) == 1
    ]
    return found


def not_among(
    columns: Mapping[str, pd.Series], others: Mapping[str, pd.Series]
) -> dict[str, pd.Series]:
    """Columns that tell no patient otherwise than one of some others does, whatever their names."""
    return {
        name: column
        for name, column in columns.items()
        if not any(_cells(column) == _cells(other) for other in others.values())
    }


def _cells(column: pd.Series) -> dict[str, str]:
    return {str(patient): str(value) for patient, value in column.dropna().items()}


def _by_patient(path: Path, patient_column: str, notes: list[str]) -> tuple[Path, pd.DataFrame]:
    problems: list[str] = []
    column = column_of_patients(patient_column, "--patient-column")
    table = resolved_columns(read_table(path, notes), [column], path, notes, problems)
    if problems:
        raise InputError(*problems)
    cells = without_missing_codes(table[patient_column], path, notes)
    if nameless := empty_rows(cells, path):
        raise InputError(*nameless)
    return path, table.set_axis(pd.Index(patient_names(cells, path, []).patients, name="PATIENT"))


def _one_value(column: pd.Series[str], path: Path, problems: list[str]) -> pd.Series:
    cells = without_missing_codes(column, path, [])
    known = cells.dropna()
    counts = known.groupby(level=0).nunique()
    torn = list(counts.index[counts > 1])
    if torn:
        problems.append(
            f"{path}: column '{column.name}' has several values for patient(s) {listed(torn)}; "
            "keep one"
        )
    values = known.groupby(level=0).first()
    numbers = pd.to_numeric(values, errors="coerce")
    return numbers if len(values) and numbers.notna().all() else values
