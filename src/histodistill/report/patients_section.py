"""The table of patients, to which the points of figures lead."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from histodistill.report.tables import EMPTY
from histodistill.spreadsheets import write_csv

_TITLES = {"site": "Site", "age": "Age", "slides": "Slides", "patches": "Patches"}
_MISSING = ""
MOST_ROWS = 2000
"""Patients who are all in the page; of more those alone to whom something leads."""


@dataclass(frozen=True)
class PatientRow:
    """A patient: the place of the page, the name, the page of the viewer, and the other cells."""

    anchor: str
    name: str
    address: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class PatientsSection:
    """The table of patients.

    Attributes:
        header: Titles of the columns after the patient.
        rows: Each patient.
        left_out: Patients who are in the CSV alone.
    """

    header: tuple[str, ...]
    rows: tuple[PatientRow, ...]
    left_out: int = 0
    source: str = "tables/patients.csv"


def anchors_of(predictions: pd.DataFrame) -> dict[str, str]:
    """A short anchor for each patient of a predictions table, in their order."""
    return {str(name): f"p{k}" for k, name in enumerate(sorted(predictions["PATIENT"].unique()))}


def patients_section(
    folder: Path,
    anchors: Mapping[str, str],
    known: pd.DataFrame | None,
    answers: Mapping[str, pd.DataFrame],
    led_to: Collection[str],
    viewer: str = "",
) -> PatientsSection:
    """Tabulate who was answered what, and write the same as a CSV.

    Args:
        folder: The report's.
        anchors: Anchor of each patient, in order.
        known: As ``Evidence.patients``.
        answers: By target, as ``answered``.
        led_to: Anchors of patients to whom something of the page leads.
        viewer: Address of ``histodistill view``; empty for none.
    """
    table = pd.DataFrame(index=pd.Index(list(anchors), name="PATIENT"))
    for name, title in _TITLES.items():
        if known is not None and name in known and known[name].notna().any():
            table[title] = known[name].reindex(table.index)
    for target, own in answers.items():
        table[target] = own["label"].reindex(table.index)
        table[f"{target} probability"] = own["p"].reindex(table.index)
        table[f"{target} wrong"] = own["wrong"].reindex(table.index)
    write_csv(folder / PatientsSection.source, table.reset_index())
    shown = [name for name in table.columns if not str(name).endswith(" wrong")]
    if len(table) > MOST_ROWS:
        table = table[[anchors[str(name)] in led_to for name in table.index]]
    texts = table.apply(_texts)
    rows = zip(table.index, texts[shown].itertuples(index=False, name=None), strict=True)
    listed = tuple(
        PatientRow(anchors[str(name)], str(name), _address(viewer, str(name)), tuple(cells))
        for name, cells in rows
    )
    header = tuple(str(name) for name in shown)
    return PatientsSection(header, listed, len(anchors) - len(listed))


def _address(viewer: str, patient: str) -> str:
    """Where the viewer shows a patient; docs/view.md describes it."""
    return f"{viewer.rstrip('/')}/patient?id={quote(patient, safe='')}" if viewer else ""


def _texts(column: pd.Series) -> pd.Series[str]:
    """The cells of a column as text: probabilities with three decimals, whole numbers whole."""
    if str(column.name).endswith(" probability"):
        return column.map(lambda value: EMPTY if pd.isna(value) else f"{value:.3f}")
    if pd.api.types.is_numeric_dtype(column):
        return column.map(lambda value: _MISSING if pd.isna(value) else f"{value:.0f}")
    return column.astype(object).where(column.notna(), EMPTY).astype(str)
