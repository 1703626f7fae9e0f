"""How a table names its patients."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.barcodes import Barcode, find_barcode
from histodistill.errors import listed
from histodistill.tables import Column

PATIENT = "PATIENT"
# Of cBioPortal, the GDC (new and old), TCGA's own files, Xena, CLAM, and plain English.
_ALSO = (
    *("PATIENT_ID", "cases.submitter_id", "case_submitter_id", "bcr_patient_barcode", "sampleID"),
    *("_PATIENT", "case_id", "patient id", "patientid"),
    # R and pandas write the names of rows under no name.
    *("", "Unnamed: 0"),
)


def column_of_patients(name: str, setting: str = "cohort: patient_column") -> Column:
    """The column with the patient; the usual one is known by the names of common sources too."""
    return Column(name, setting, _ALSO if name == PATIENT else ())


def other_spellings(names: Iterable[str], known: Iterable[str]) -> list[str]:
    """Names that ``known`` has too, but for case and signs: ``p_1 (P-1)``, sorted."""
    written = {_bare(name): name for name in known}
    return [
        f"{name} ({written[_bare(name)]})"
        for name in sorted(set(names))
        if written.get(_bare(name), name) != name
    ]


def alike_in_other_spelling(names: Collection[str], known: Collection[str]) -> str:
    """The end of a sentence on patients whom a table does not know: how it calls its own."""
    pairs = other_spellings(names, known)
    if pairs:
        named = listed(pairs, 3)
        return f", which may be those of the table in another spelling: {named}; spell them alike"
    return f"; the table's are called {listed(sorted(known), 3)}"


def _bare(name: str) -> str:
    return "".join(filter(str.isalnum, name)).casefold()


@dataclass(frozen=True, eq=False)
class PatientNames:
    """The patients of a table's rows.

    Attributes:
        patients: The patient of each row; NaN where none is named.
        sample_types: Two digits of the sample type; empty where the row names a patient.
    """

    patients: pd.Series[str]
    sample_types: pd.Series[str]


def patient_names(cells: pd.Series[str], path: Path, notes: list[str]) -> PatientNames:
    """Read the patients of a column; TCGA barcodes of samples become those of their patients.

    Args:
        cells: Texts, NaN where empty.
        path: The file that the note names.
        notes: Takes what was read as another name.
    """
    found = {cell: barcode for cell in cells.dropna().unique() if (barcode := _barcode(cell))}
    patients = cells.replace({cell: barcode.patient for cell, barcode in found.items()})
    other = cells[cells.notna() & (patients != cells)]
    if len(other):
        notes.append(
            f"{path}: column '{cells.name}' holds barcodes of samples ({len(other)}); each was "
            f"read as its patient, for example '{other.iloc[0]}' as '{patients[other.index[0]]}'."
        )
    types = {cell: barcode.sample_type or "" for cell, barcode in found.items()}
    return PatientNames(patients, cells.map(types).fillna(""))


def _barcode(cell: str) -> Barcode | None:
    """The TCGA barcode that a cell begins with."""
    return find_barcode(cell) if cell[:4].upper() == "TCGA" else None


def empty_rows(cells: pd.Series[str], path: Path) -> list[str]:
    """A problem that names the rows without a patient."""
    nameless = [str(row + 1) for row, empty in enumerate(cells.isna()) if empty]
    if not nameless:
        return []
    return [
        f"{path}: column '{cells.name}' is empty in row {listed(nameless)} below the header; "
        "name the patient or delete the row."
    ]
