"""The patients' ages, for the description of a cohort: nothing is learnt from them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

# Headers of cBioPortal, the GDC, TCGA and plain English, in lower case with underscores.
_HEADERS = (
    *("age", "age_years", "patient_age", "age_at_diagnosis", "diagnosis_age", "age_at_index"),
    *("age_at_initial_pathologic_diagnosis", "demographic_age_at_index"),
    *("diagnoses_age_at_diagnosis", "age_at_diagnosis_years"),
)
_OLDEST = 120
_DAYS = 365.25


def read_ages(
    table: pd.DataFrame, patients: pd.Series[str], path: Path, notes: list[str]
) -> pd.Series[float] | None:
    """Age in years of the patients for whom a column tells it.

    Args:
        table: The clinical table as read, all columns.
        patients: The patient of each row.
        path: The file that notes name.
        notes: Takes that ages were read as days, as the GDC writes them.

    Returns:
        Indexed by patient; None where no column is called so, or none of its cells is an age.
    """
    names = [name for name in table.columns if _plain(str(name)) in _HEADERS]
    if not names:
        return None
    ages = pd.to_numeric(table[names[0]], errors="coerce").astype("float64")
    if ages.notna().any() and ages.median() > _OLDEST:
        notes.append(f"{path}: column '{names[0]}' was read as ages in days.")
        ages = ages / _DAYS
    ages = ages.where((ages >= 0) & (ages <= _OLDEST))
    by_patient = ages.groupby(patients.to_numpy()).first().dropna()
    return None if by_patient.empty else by_patient


def _plain(header: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", header.lower()).strip("_")
