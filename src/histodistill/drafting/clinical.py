"""What a clinical table holds: patients, markers, hospitals, follow-up, other possible targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from histodistill.barcodes import patient_of
from histodistill.cohort import ClinicalTable, SurvivalColumns, read_clinical
from histodistill.cohort.patients import PATIENT, column_of_patients
from histodistill.drafting.columns import (
    Candidate,
    candidates,
    find_follow_up,
    find_site,
    halves_of_follow_up,
    unit_of,
)
from histodistill.drafting.markers import FoundTarget, find_markers, status_of
from histodistill.errors import InputError, listed
from histodistill.tables import read_table, resolved_columns

_SIMULATED = "SIMULATED"
# Titles that somebody may write above a table.
_TITLE_LINES = 5


@dataclass(frozen=True, eq=False)
class Clinical:
    """A clinical table as a draft uses it.

    Attributes:
        path: The table.
        patient_column: The column of the patients; None where it has a usual name.
        targets: Columns that say a status, and can be read.
        refused: Why other such columns cannot be read, in sentences.
        site_column: The column of the hospitals.
        survival: The columns of follow-up.
        values: The table, read by these settings.
        others: Other columns with few values.
        remarks: How the table was read, in sentences, by the setting that they belong to.
        simulated: Whether the table says that no patient is real.
    """

    path: Path
    patient_column: str | None
    targets: tuple[FoundTarget, ...]
    refused: tuple[str, ...]
    site_column: str | None
    survival: SurvivalColumns | None
    values: ClinicalTable
    others: tuple[Candidate, ...]
    remarks: dict[str, tuple[str, ...]]
    simulated: bool


_Reader = Callable[..., ClinicalTable]


def look_at_clinical(path: Path) -> Clinical:
    """Read a clinical table and find what an experiment needs in it.

    Raises:
        InputError: The table cannot be read, or does not say who its patients are.
    """
    notes: list[str] = []
    table = read_table(path, notes)
    column = _patient_column(table, path, notes)
    read = partial(read_clinical, path, patient_column=column or PATIENT)
    read([])  # whoever the patients are must be clear before anything else
    targets, refused = _readable(_targets(table), read)
    site, site_remarks = _site(table, read)
    survival, survival_remarks = _survival(table, read)
    values = read([found.target for found in targets], site_column=site, survival=survival)
    taken = {column or "", site or "", *(name for f in targets for name in _columns(f))}
    if survival is not None:
        taken |= {survival.time, survival.event}
    return Clinical(
        path=path,
        patient_column=column,
        targets=targets,
        refused=refused,
        site_column=site,
        survival=survival,
        values=values,
        others=tuple(candidates(table, taken)),
        remarks={
            "clinical": (*notes, *_who(values)),
            "site_column": site_remarks,
            "survival": survival_remarks,
        },
        simulated=_SIMULATED in table and set(table[_SIMULATED].dropna()) == {"yes"},
    )


def _patient_column(table: pd.DataFrame, path: Path, notes: list[str]) -> str | None:
    """The column of the patients where it has no usual name."""
    problems: list[str] = []
    resolved = resolved_columns(table, [column_of_patients(PATIENT)], path, notes, problems)
    notes[:] = [note.removeprefix(f"{path}: ") for note in notes]
    if PATIENT in resolved:
        return None
    _require_header_on_top(table, path)
    for column in map(str, table.columns):
        cells = table[column]
        if cells.notna().all() and (cells.map(patient_of).notna().all() or cells.is_unique):
            notes.append(f"Column '{column}' was taken for the patients: it tells every row apart.")
            return column
    raise InputError(
        f"{path}: no column tells whose each row is; call it '{PATIENT}'. Its columns are "
        f"{listed([str(name) for name in table.columns], 20)}."
    )


def _require_header_on_top(table: pd.DataFrame, path: Path) -> None:
    """Refuse a table whose names of columns stand in a row below a title.

    Raises:
        InputError: They do.
    """
    names = column_of_patients(PATIENT)
    known = {name.lower() for name in (names.name, *names.also)}
    for number, row in enumerate(table.head(_TITLE_LINES).astype(str).to_numpy().tolist(), 1):
        if any(cell.lower() in known for cell in row):
            raise InputError(
                f"{path}: the names of the columns ({listed(row, 4)}) stand in row {number} below "
                f"the first line; delete the lines above them."
            )


def _targets(table: pd.DataFrame) -> list[FoundTarget]:
    """The markers; where there is none, columns whose cells say positive and negative."""
    found = list(find_markers(table))
    if found:
        return found
    said = (
        status_of(column, table[column])
        for column in map(str, table.columns)
        if table[column].dropna().map(str.lower).isin(("positive", "negative")).any()
    )
    return [target for target in said if target is not None]


def _columns(found: FoundTarget) -> Iterator[str]:
    yield found.target.column
    yield from found.others


def _readable(
    targets: list[FoundTarget], read: _Reader
) -> tuple[tuple[FoundTarget, ...], tuple[str, ...]]:
    good, refused = [], []
    for found in targets:
        try:
            read([found.target])
            good.append(found)
        except InputError as error:
            refused += [f"{found.target.name} was left out: {p}" for p in error.problems]
    return tuple(good), tuple(refused)


def _site(table: pd.DataFrame, read: _Reader) -> tuple[str | None, tuple[str, ...]]:
    column = find_site(table)
    if column is not None:
        try:
            sites = read([], site_column=column).sites
        except InputError as error:
            return None, error.problems
        return column, (f"Hospitals: {sites.nunique()}, by column '{column}'.",)
    own = read([]).sites
    if own.notna().any():
        return None, (f"Hospitals: {own.nunique()}, by the TCGA barcodes.",)
    return None, (
        "No column of hospitals is recognised; name it as `site_column`, if there is one: folds "
        "can then keep hospitals apart.",
    )


def _survival(table: pd.DataFrame, read: _Reader) -> tuple[SurvivalColumns | None, tuple[str, ...]]:
    columns = find_follow_up(table)
    if columns is None:
        return None, (_no_follow_up(table),)
    try:
        times = read([], survival=columns).survival
    except InputError as error:
        return None, (*error.problems, "Without follow-up, genes are ranked by their variance.")
    if times is None or not times["event"].any():
        return None, (f"Follow-up ('{columns.time}') is not used: no event is recorded.",)
    unit = unit_of(columns.time, float(times["time"].max()))
    return columns, (
        f"Follow-up of {len(times)} patients with {int(times['event'].sum())} events; times are "
        f"{unit}.",
    )


def _no_follow_up(table: pd.DataFrame) -> str:
    halves = halves_of_follow_up(table)
    if halves:
        return (
            f"Follow-up stands in several columns ({listed(halves)}), of which one holds for the "
            "dead and one for the living. To use it, make one column of time and one of events "
            "(1 dead, 0 alive) and name them: `survival: {time: TIME, event: EVENT}`."
        )
    return (
        "No columns of follow-up are recognised; if there are some, name them: "
        "`survival: {time: TIME, event: EVENT}`. They serve to rank genes only."
    )


def _who(values: ClinicalTable) -> Iterator[str]:
    patients = list(values.patients)
    yield f"{len(patients)} patients, such as {listed(patients[:2])}."
