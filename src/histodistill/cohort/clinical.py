"""The clinical table: each patient's labels, site and survival, checked cell by cell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.barcodes import site_of
from histodistill.cohort.ages import read_ages
from histodistill.cohort.follow_up import follow_up_notes, follow_up_problems
from histodistill.cohort.label_patterns import label_patterns
from histodistill.cohort.labels import BY_OPTIONS, BY_SETTINGS, Spelling, by_value, read_labels
from histodistill.cohort.patients import (
    PATIENT,
    PatientNames,
    column_of_patients,
    empty_rows,
    patient_names,
)
from histodistill.cohort.targets import Target
from histodistill.errors import InputError, listed
from histodistill.settings import Settings
from histodistill.tables import (
    Column,
    numbers,
    read_table,
    resolved_columns,
    without_missing_codes,
)
from histodistill.tables.cells import numeric_code

_EVENTS = {
    **dict.fromkeys(("1", "true", "yes", "event", "death"), True),
    **dict.fromkeys(("tot", "verstorben", "gestorben", "mort", "décédé", "décédée"), True),
    **dict.fromkeys(("0", "false", "no", "alive", "living", "censored", "no event"), False),
    **dict.fromkeys(("lebt", "lebend", "vivant", "vivante"), False),
}
# The cause may follow, as METABRIC tells it: "Died of Disease".
_DEATH = re.compile(r"(dead|died|deceased)\b.*", re.IGNORECASE)


class SurvivalColumns(Settings):
    """The columns that hold the time to the event or last contact, and what happened.

    Attributes:
        time: Column with the time to the event, or to the last follow-up.
        event: Column with whether the event was seen (1, or ``1:DECEASED``) or not.
    """

    time: str
    event: str


@dataclass(frozen=True, eq=False)
class ClinicalTable:
    """What is known about the patients.

    Attributes:
        patients: Everyone in the table, sorted.
        labels: One row a patient, one ``Int64`` column a target (by its name) with the
            position of the patient's class; ``<NA>`` where the status is unknown.
        sites: The site that each patient comes from; NaN where it is unknown.
        survival: ``time`` (float, in the table's unit) and ``event`` (bool) of the patients
            for whom both are known; None where no survival columns were asked for.
        ages: Age in years of those for whom it is known; None where no column tells it.
        notes: How cells were read that were not written as declared, in sentences.
        rows: Everyone in the table, in its own order.
    """

    patients: tuple[str, ...]
    labels: pd.DataFrame
    sites: pd.Series[str]
    survival: pd.DataFrame | None
    ages: pd.Series[float] | None = None
    notes: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()


class _Found:
    """What a reader tells: how it read the file, and what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.problems: list[str] = []


def read_clinical(
    path: Path,
    targets: Sequence[Target],
    *,
    patient_column: str = PATIENT,
    site_column: str | None = None,
    survival: SurvivalColumns | None = None,
    by_options: bool = False,
) -> ClinicalTable:
    """Read labels, sites and survival of the patients.

    An empty cell, or a source's code for it, means unknown. A patient may have several rows if
    they do not contradict each other in any column that is used; of a patient's samples (TCGA
    barcodes) the primary tumour counts. The site is the cell of ``site_column``, else that of a
    TCGA barcode.

    Args:
        path: A table that ``read_table`` reads.
        targets: The biomarkers wanted.
        patient_column: The column that names the patient.
        site_column: The column with the site (hospital), if there is one.
        survival: The columns of time and event, if wanted. Events read ``1`` or ``0`` (also
            ``1:DECEASED``, as cBioPortal writes it), dead or alive, deceased or living, true
            or false, in any case.
        by_options: Whether columns and targets were named by options of a command: messages then
            name ``--patient-column``, ``--column`` and ``--map`` rather than settings.

    Returns:
        The checked table.

    Raises:
        InputError: Every problem found: absent columns, rows without a patient, patients whose
            rows contradict each other, values outside a target's classes, times that are no
            numbers from 0 up or cannot be in the unit of their column's name, events that are not
            understood, a site column without a site.
    """
    found = _Found(path)
    table = read_table(path, found.notes)
    wanted = _wanted(targets, patient_column, site_column, survival, by_options)
    table = resolved_columns(table, wanted, path, found.notes, found.problems)
    if patient_column not in table.columns:
        raise InputError(*found.problems)
    whole = table
    table = table.reindex(columns=list(dict.fromkeys(column.name for column in wanted)))
    codes: list[str] = []
    cells = without_missing_codes(table[patient_column], path, codes)
    found.problems += empty_rows(cells, path)
    names = patient_names(cells, path, found.notes)
    table.index = pd.Index(names.patients, name=PATIENT)

    found.problems += _repeated_names(targets)
    spelled = BY_OPTIONS if by_options else BY_SETTINGS
    rows = _read_rows(table, targets, site_column, survival, found, spelled)
    merged = _row_per_patient(rows, names, found)
    if found.problems:
        raise InputError(*found.problems)
    ages = read_ages(whole, names.patients, path, found.notes)
    made = _clinical_table(merged, targets, site_column, survival, ages)
    notes = [*found.notes, *_implausible(made, whole, names, survival, path)]
    return replace(made, notes=tuple(notes), rows=tuple(names.patients.dropna().unique()))


def _wanted(
    targets: Sequence[Target],
    patient_column: str,
    site_column: str | None,
    survival: SurvivalColumns | None,
    by_options: bool,
) -> list[Column]:
    """The columns to read, each with the setting or the option that names it."""
    if by_options:
        columns = [Column(target.column, "--column") for target in targets]
        columns += [Column(site_column, "--site-column")] if site_column else []
        return [column_of_patients(patient_column, "--patient-column"), *columns]
    wanted = [column_of_patients(patient_column)]
    wanted += [Column(t.column, f"targets: {t.name}: column") for t in targets]
    wanted += [Column(site_column, "cohort: site_column")] if site_column else []
    if survival:
        wanted += [
            Column(survival.time, "cohort: survival: time"),
            Column(survival.event, "cohort: survival: event"),
        ]
    return wanted


@dataclass(frozen=True, eq=False)
class _Rows:
    """What each row of the table says; the columns are named after what they mean.

    Attributes:
        values: Labels by target, ``site``, ``time`` and ``event``, indexed by patient.
        columns: The column of the table that each was read from.
    """

    values: pd.DataFrame
    columns: dict[tuple[str, str], str]


def _read_rows(
    table: pd.DataFrame,
    targets: Sequence[Target],
    site_column: str | None,
    survival: SurvivalColumns | None,
    found: _Found,
    spelled: Spelling,
) -> _Rows:
    path, notes, problems = found.path, found.notes, found.problems
    values: dict[tuple[str, str], pd.Series] = {}
    columns: dict[tuple[str, str], str] = {}
    for target in targets:
        columns["label", target.name] = target.column
        values["label", target.name] = read_labels(
            table[target.column], target, path, notes, problems, spelled
        )
    if site_column:
        columns["site", ""] = site_column
        values["site", ""] = _read_sites(table[site_column], found)
    if survival:
        columns |= {("time", ""): survival.time, ("event", ""): survival.event}
        values["time", ""] = _read_times(table[survival.time], found)
        values["event", ""] = _read_events(table[survival.event], found)
    cells = {key: column.to_numpy() for key, column in values.items()}
    frame = pd.DataFrame(cells, index=table.index, dtype=object)
    return _Rows(frame.where(frame.notna(), np.nan), columns)


def _row_per_patient(rows: _Rows, names: PatientNames, found: _Found) -> pd.DataFrame:
    """One row a patient, sorted; what a row leaves empty, another may tell."""
    order = names.sample_types.reset_index(drop=True).sort_values(kind="stable").index
    values = rows.values.iloc[order]
    types = names.sample_types.iloc[order].set_axis(values.index)
    named = values.index.notna()
    values, types = values[named], types[named]
    first_type = types.groupby(level=0).transform("min")
    compared = values[(types == first_type).to_numpy()]
    several = compared[compared.index.duplicated(keep=False)]
    contradictions = []
    versions = several.groupby(level=0).nunique()
    for patient, counts in versions.iterrows():
        columns = dict.fromkeys(rows.columns[key] for key in counts.index[counts > 1])
        if columns:
            contradictions.append(f"{patient} ({', '.join(columns)})")
    if contradictions:
        found.problems.append(
            f"{found.path}: patients with several rows that contradict each other: "
            f"{listed(contradictions)}; keep one row for each patient."
        )
    return values.groupby(level=0, sort=True).first()


def _clinical_table(
    merged: pd.DataFrame,
    targets: Sequence[Target],
    site_column: str | None,
    survival: SurvivalColumns | None,
    ages: pd.Series[float] | None,
) -> ClinicalTable:
    labels = {target.name: merged["label", target.name].astype("Int64") for target in targets}
    times = None
    if survival:
        both = merged[[("time", ""), ("event", "")]].dropna()
        times = pd.DataFrame(
            {"time": both["time", ""].astype(float), "event": both["event", ""].astype(bool)}
        )
    return ClinicalTable(
        patients=tuple(merged.index),
        labels=pd.DataFrame(labels, index=merged.index),
        sites=_sites(merged, site_column),
        survival=times,
        ages=ages,
    )


def _implausible(
    made: ClinicalTable,
    table: pd.DataFrame,
    names: PatientNames,
    columns: SurvivalColumns | None,
    path: Path,
) -> Iterator[str]:
    """What is unusual about labels and follow-up, in sentences.

    Raises:
        InputError: Times that cannot be what their column's name says.
    """
    told = [*label_patterns(table, names.patients, made.labels, made.sites)]
    if columns is not None and made.survival is not None:
        problems = tuple(follow_up_problems(made.survival, columns.time))
        if problems:
            raise InputError(*(f"{path}: {problem}." for problem in problems))
        told += follow_up_notes(made.survival, made.sites, made.ages, columns.time)
    yield from (f"{path}: {note}{'' if note.endswith('?') else '.'}" for note in told)


def _repeated_names(targets: Sequence[Target]) -> list[str]:
    names = [target.name for target in targets]
    return [
        f"Target '{name}' is declared more than once; give each target its own name."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _read_sites(cells: pd.Series[str], found: _Found) -> pd.Series[str]:
    sites = without_missing_codes(cells, found.path, found.notes)
    absent = any(f"no column '{cells.name}'" in problem for problem in found.problems)
    if sites.isna().all() and not absent:
        found.problems.append(
            f"{found.path}: column '{cells.name}' names no site; fill it, or take `site_column` "
            "out of the experiment."
        )
    return sites


def _read_times(cells: pd.Series[str], found: _Found) -> pd.Series[float]:
    texts = without_missing_codes(cells, found.path, found.notes)
    times = numbers(texts, found.path, found.notes)
    coded = numeric_code(times.to_numpy())
    if coded is not None:
        found.problems.append(
            f"{found.path}: column '{cells.name}' holds {coded[0]} in {coded[1]} rows, far from "
            "all other times: a code for what is not known; leave these cells empty."
        )
    wrong = texts[texts.notna() & ~(times >= 0)]
    if len(wrong):
        found.problems.append(
            f"{found.path}: column '{cells.name}' holds times that are not numbers from 0 up: "
            f"{by_value(wrong)}; correct them (decimals take a point, thousands nothing, "
            "and no unit), or leave the cell empty."
        )
    return times


def _read_events(cells: pd.Series[str], found: _Found) -> pd.Series[bool]:
    texts = without_missing_codes(cells, found.path, found.notes)
    events = texts.map(_event, na_action="ignore").astype("boolean")
    unclear = texts[texts.notna() & events.isna()]
    if len(unclear):
        found.problems.append(
            f"{found.path}: column '{cells.name}' holds events that are not understood: "
            f"{by_value(unclear)}; write 1 or 0 (or dead or alive), or leave the cell empty."
        )
    return events


def _event(text: str) -> bool | None:
    # cBioPortal writes "1:DECEASED"; numbers that passed through a spreadsheet read "1.0".
    code = re.fullmatch(r"([01])(?:\.0+|:.*)?", text)
    if _DEATH.fullmatch(text):
        return True
    return _EVENTS.get(code[1] if code else text.lower())


def _sites(merged: pd.DataFrame, site_column: str | None) -> pd.Series[str]:
    own = [site_of(patient) for patient in merged.index]
    from_barcode = pd.Series(own, merged.index, dtype=object)
    sites = merged["site", ""].combine_first(from_barcode) if site_column else from_barcode
    return sites.where(sites.notna(), np.nan).rename("site")
