"""The table of the cohort, a paper's Table 1: who the patients of each class are."""

from __future__ import annotations

import pandas as pd

from histodistill.experiment.audit import MODALITIES, modality
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.settings import Experiment

UNKNOWN = "unknown"


def cohort_table(experiment: Experiment, data: ExperimentData) -> pd.DataFrame:
    """Patients by target and class, those without a label last.

    Returns:
        A row a target and class: ``Target``, ``Class``, ``Patients``, ``Slides``, ``Hospitals``
        where any is known, ``Age, median (quartiles)`` where the clinical table tells it, and the
        patients of each modality.
    """
    rows = []
    for target, settings in experiment.targets.items():
        labels = data.clinical.labels[target].reindex(list(data.patients))
        for place, name in enumerate(settings.classes):
            patients = labels.index[(labels == place).fillna(False)]
            rows.append({"Target": target, "Class": name, **_described(data, patients)})
        unknown = labels.index[labels.isna()]
        if len(unknown):
            rows.append({"Target": target, "Class": UNKNOWN, **_described(data, unknown)})
    return pd.DataFrame(rows)


def _described(data: ExperimentData, patients: pd.Index[str]) -> dict[str, object]:
    """Who some of the patients are."""
    slides = (
        sum(len(data.bags.slides(p)) for p in patients if p in data.with_slides) if data.bags else 0
    )
    told: dict[str, object] = {
        "Patients": len(patients),
        "Slides": slides,
    }
    if data.clinical.sites.notna().any():
        told["Hospitals"] = int(data.clinical.sites.reindex(patients).nunique())
    if data.clinical.ages is not None:
        told["Age, median (quartiles)"] = _quartiles(data.clinical.ages.reindex(patients).dropna())
    modalities = [modality(data, patient) for patient in patients]
    return told | {name.capitalize(): modalities.count(name) for name in MODALITIES}


def _quartiles(ages: pd.Series[float]) -> str:
    if ages.empty:
        return ""
    low, middle, high = ages.quantile([0.25, 0.5, 0.75])
    return f"{middle:.0f} ({low:.0f} to {high:.0f}), n = {len(ages)}"
