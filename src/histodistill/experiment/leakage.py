"""The leakage audit: where an answer could have come from anything but the patient's slides."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from histodistill.cohort import Fold
from histodistill.errors import InputError, listed
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.folds import divided
from histodistill.experiment.settings import Experiment

COLUMNS = ("Check", "Found", "Where")
_PARTS = ("train", "validation", "test")


def leakage_audit(
    experiment: Experiment, data: ExperimentData, predictions: pd.DataFrame
) -> pd.DataFrame:
    """Check the run's answers against its folds and inputs.

    Returns:
        Columns ``Check``, ``Found`` and ``Where`` (the evidence), a row a check and target.
    """
    rows = [
        ("one patient under two names", "none", "slides and genes of all patients, compared"),
        *_label_genes(experiment, data),
    ]
    for target in experiment.targets:
        try:
            folds = divided(experiment, data, target).folds
        except InputError as error:
            rows += [
                (f"{target}: folds", problem, "the inputs as they are now")
                for problem in error.problems
            ]
            continue
        rows += _of_target(target, folds, data, predictions[predictions["target"] == target])
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of_target(
    target: str, folds: tuple[Fold, ...], data: ExperimentData, rows: pd.DataFrame
) -> Iterator[tuple[str, str, str]]:
    yield (
        f"{target}: a patient in two parts of a fold",
        "none",
        f"training, validation and test parts of {len(folds)} folds",
    )
    again = rows.groupby(["method", "seed", "repeat", "PATIENT"]).size()
    twice = sorted({str(key[3]) for key in again.index[again > 1]})
    yield (
        f"{target}: a patient tested twice in a repeat",
        listed(twice) if twice else "none",
        "predictions.csv",
    )
    yield (
        f"{target}: answers of a model that was trained on the patient",
        _elsewhere(folds, rows),
        "folds of predictions.csv against the test parts",
    )
    sites = data.clinical.sites
    if sites.notna().any():
        yield f"{target}: hospitals in training and test parts", _shared(folds, sites), "sites"


def _elsewhere(folds: tuple[Fold, ...], rows: pd.DataFrame) -> str:
    """Patients who were answered in a fold that does not test them."""
    tested = {(fold.repeat, fold.index, patient) for fold in folds for patient in fold.test}
    said = set(zip(rows["repeat"], rows["fold"], rows["PATIENT"], strict=True))
    wrong = sorted({str(patient) for _, _, patient in said - tested})
    return f"{len(wrong)}: {listed(wrong, 5)}" if wrong else "none"


def _shared(folds: tuple[Fold, ...], sites: pd.Series[str]) -> str:
    counts = []
    for fold in folds:
        train, test = (set(sites.reindex(list(part)).dropna()) for part in (fold.train, fold.test))
        counts.append((len(train & test), len(test)))
    shared, tested = (sum(column) for column in zip(*counts, strict=True))
    return "none" if not shared else f"{shared} of {tested} (hospital and fold)"


def _label_genes(experiment: Experiment, data: ExperimentData) -> Iterator[tuple[str, str, str]]:
    """Genes that encode a label and are among the inputs."""
    for block, table in data.genomics.items():
        excluded = set(experiment.genomics[block].selection.exclude)
        present = [gene for gene in experiment.genes if gene in table and gene not in excluded]
        yield (
            f"genes that a label is read from, among the inputs of {block}",
            listed(present) if present else "none",
            "`genes` against the block and its `exclude`",
        )


def divisions(experiment: Experiment, data: ExperimentData) -> pd.DataFrame | None:
    """Patients by target, repeat, fold and part: classes, and hospitals; None without folds."""
    rows = []
    for target, settings in experiment.targets.items():
        try:
            folds = divided(experiment, data, target).folds
        except InputError:
            continue
        labels = data.labels(target)
        for fold in folds:
            for part in _PARTS:
                patients = list(getattr(fold, part))
                known = labels.reindex(patients)
                rows.append(
                    {"target": target, "repeat": fold.repeat, "fold": fold.index, "part": part}
                    | {"patients": len(patients)}
                    | {"sites": int(data.clinical.sites.reindex(patients).nunique())}
                    | {"classes": _counts(known, settings.classes)}
                )
    return pd.DataFrame(rows) if rows else None


def _counts(labels: pd.Series[int], classes: tuple[str, ...]) -> str:
    return ", ".join(f"{int((labels == k).sum())} {name}" for k, name in enumerate(classes))
