"""The clinical table: each patient's labels, site and survival, checked cell by cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.barcodes import site_of
from histodistill.cohort.tables import missing_columns, read_table
from histodistill.errors import InputError, listed

PATIENT = "PATIENT"
_EVENTS = {
    **dict.fromkeys(("1", "true", "dead", "deceased"), True),
    **dict.fromkeys(("0", "false", "alive", "living"), False),
}


@dataclass(frozen=True)
class Target:
    """A biomarker to predict, and the column that holds its status.

    Attributes:
        name: The name in results, such as ``ER``.
        column: The column of the clinical table.
        classes: The values that the column may hold; a label is a position in this list.
        positive: Which of exactly two classes is positive; None for more than two classes.

    Raises:
        InputError: The classes are fewer than two, repeated or empty, or ``positive`` does not
            fit them.
    """

    name: str
    column: str
    classes: tuple[str, ...]
    positive: str | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise InputError(
                f"Target '{self.name}': declare two or more different classes, "
                f"not {list(self.classes)}."
            )
        if any(not name or name != name.strip() for name in self.classes):
            raise InputError(
                f"Target '{self.name}': a class name is empty or has blanks around it; "
                "an empty cell already means unknown."
            )
        if len(self.classes) == 2 and self.positive not in self.classes:
            raise InputError(
                f"Target '{self.name}': say which of its classes is positive, "
                f"{' or '.join(self.classes)}."
            )
        if len(self.classes) > 2 and self.positive is not None:
            raise InputError(
                f"Target '{self.name}': only a target of two classes has a positive one; "
                f"remove 'positive: {self.positive}'."
            )

    @property
    def positive_index(self) -> int | None:
        """The label of the positive class; None for more than two classes."""
        return None if self.positive is None else self.classes.index(self.positive)


@dataclass(frozen=True)
class SurvivalColumns:
    """The columns that hold the time to the event or last contact, and what happened."""

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
    """

    patients: tuple[str, ...]
    labels: pd.DataFrame
    sites: pd.Series[str]
    survival: pd.DataFrame | None


def read_clinical(
    path: Path,
    targets: Sequence[Target],
    *,
    patient_column: str = PATIENT,
    site_column: str | None = None,
    survival: SurvivalColumns | None = None,
) -> ClinicalTable:
    """Read labels, sites and survival of the patients.

    An empty cell means unknown. A patient may have several rows if they agree in every column
    that is used. The site is the cell of ``site_column``, else that of a TCGA barcode.

    Args:
        path: A table that ``read_table`` reads.
        targets: The biomarkers wanted.
        patient_column: The column that names the patient.
        site_column: The column with the site (hospital), if there is one.
        survival: The columns of time and event, if wanted. Events read ``1`` or ``0`` (also
            ``1:DECEASED``, as cBioPortal writes it), dead or alive, deceased or living, true
            or false, in any case.

    Returns:
        The checked table.

    Raises:
        InputError: Every problem found: absent columns, rows without a patient, patients whose
            rows contradict each other, values outside a target's classes, times that are no
            numbers from 0 up, events that are not understood.
    """
    table = read_table(path)
    wanted = [patient_column, *(target.column for target in targets)]
    wanted += [site_column] if site_column else []
    wanted += [survival.time, survival.event] if survival else []
    problems = missing_columns(table, wanted, path)
    if patient_column not in table.columns:
        raise InputError(*problems)
    used = [column for column in dict.fromkeys(wanted) if column in table.columns]
    rows = _row_per_patient(table[used], patient_column, path, problems)
    rows = rows.reindex(columns=list(dict.fromkeys(wanted)))

    problems += _repeated_names(targets)
    labels = {
        target.name: _labels(rows[target.column], target, path, problems) for target in targets
    }
    times = _survival(rows, survival, path, problems) if survival else None
    if problems:
        raise InputError(*problems)
    return ClinicalTable(
        patients=tuple(rows.index),
        labels=pd.DataFrame(labels, index=rows.index),
        sites=_sites(rows, site_column),
        survival=times,
    )


def _row_per_patient(
    table: pd.DataFrame, patient_column: str, path: Path, problems: list[str]
) -> pd.DataFrame:
    """One row a patient, sorted by patient; contradictions are added to ``problems``."""
    nameless = table.index[table[patient_column].isna()]
    if len(nameless):
        rows = listed([str(row + 1) for row in nameless])
        problems.append(
            f"{path}: column '{patient_column}' is empty in row {rows} below the header; "
            "name the patient or delete the row."
        )
    rows_of = table.dropna(subset=[patient_column]).drop_duplicates()
    repeated = rows_of[rows_of[patient_column].duplicated(keep=False)]
    contradictions = []
    for patient, versions in repeated.groupby(patient_column):
        counts = versions.nunique(dropna=False)
        contradictions.append(f"{patient} ({', '.join(counts.index[counts > 1])})")
    if contradictions:
        problems.append(
            f"{path}: patients with several rows that contradict each other: "
            f"{listed(contradictions)}; keep one row for each patient."
        )
    unique = rows_of.drop_duplicates(subset=[patient_column])
    unique = unique.sort_values(patient_column)
    unique.index = pd.Index(unique[patient_column], name=PATIENT)
    return unique


def _repeated_names(targets: Sequence[Target]) -> list[str]:
    names = [target.name for target in targets]
    return [
        f"Target '{name}' is declared more than once; give each target its own name."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _labels(
    values: pd.Series[str], target: Target, path: Path, problems: list[str]
) -> pd.Series[int]:
    strange = values[values.notna() & ~values.isin(target.classes)]
    if len(strange):
        problems.append(
            f"{path}: column '{target.column}' holds values that are not among the classes of "
            f"target '{target.name}' ({', '.join(target.classes)}): {_by_value(strange)}; "
            "correct them, or leave the cell empty where the status is unknown."
        )
    return values.map({name: label for label, name in enumerate(target.classes)}).astype("Int64")


def _by_value(values: pd.Series[str]) -> str:
    """Each value with the patients who have it."""
    return "; ".join(
        f"'{value}' ({listed([str(patient) for patient in found.index])})"
        for value, found in values.groupby(values)
    )


def _survival(
    rows: pd.DataFrame, columns: SurvivalColumns, path: Path, problems: list[str]
) -> pd.DataFrame:
    texts = rows[columns.time]
    times = pd.to_numeric(texts, errors="coerce").astype(float)
    wrong = texts[texts.notna() & ~(np.isfinite(times) & (times >= 0))]
    if len(wrong):
        problems.append(
            f"{path}: column '{columns.time}' holds times that are not numbers from 0 up: "
            f"{_by_value(wrong)}; correct them (decimals take a point), or leave the cell empty."
        )
    events = rows[columns.event].map(_event, na_action="ignore").astype("boolean")
    unclear = rows.loc[rows[columns.event].notna() & events.isna(), columns.event]
    if len(unclear):
        problems.append(
            f"{path}: column '{columns.event}' holds events that are not understood: "
            f"{_by_value(unclear)}; write 1 or 0 (or dead or alive), or leave the cell empty."
        )
    known = times.notna() & events.notna()
    return pd.DataFrame({"time": times[known], "event": events[known].astype(bool)})


def _event(text: str) -> bool | None:
    # cBioPortal writes "1:DECEASED"; numbers that passed through a spreadsheet read "1.0".
    code = re.fullmatch(r"([01])(?:\.0|:.*)?", text)
    return _EVENTS.get(code[1] if code else text.lower())


def _sites(rows: pd.DataFrame, site_column: str | None) -> pd.Series[str]:
    from_barcode = pd.Series([site_of(patient) for patient in rows.index], rows.index, dtype=object)
    sites = rows[site_column].combine_first(from_barcode) if site_column else from_barcode
    return sites.where(sites.notna(), np.nan).rename("site")
