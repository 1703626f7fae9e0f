"""Patients of a cross-validation, each answered by the models that had not seen them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from histodistill.deploy import Bundle
from histodistill.errors import InputError, listed
from histodistill.evaluation import read_predictions
from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.layout import networks_in, target_classes
from histodistill.experiment import Experiment, load
from histodistill.experiment.recorded import recorded_experiment
from histodistill.features import BagStore
from histodistill.training.folders import MODEL, PREDICTIONS
from histodistill.viewer.cohort import Cohort, Request
from histodistill.viewer.source import Source
from histodistill.workflows.prediction import read_blocks

_PREFERENCE = ("multimodal", "genomic", "student")
_REMEDY = "run `histodistill crossval` again"
_KEPT_BUNDLES = 8


def open_run(request: Request) -> Source:
    """The out-of-fold answers of one method for one target, and the models that gave them.

    Raises:
        InputError: The run is not whole, or does not say which target or method; its inputs
            cannot be read.
    """
    experiment = recorded_experiment(request.place)
    predictions = read_predictions(request.place / PREDICTIONS)
    target = _one_of("target", request.target, list(experiment.targets))
    trained = [m for m in experiment.methods if m in set(predictions["method"])]
    method = _one_of("method", request.method, trained)
    rows = predictions[(predictions["target"] == target) & (predictions["method"] == method)]
    if rows.empty:
        raise InputError(f"{request.place}: has no predictions of {method} for {target}; {_REMEDY}")
    models = _FoldModels(request.place / "fits" / target / method, rows, tuple(request.allow))
    bags, genomics, sites, notes = _inputs(experiment, request, models)
    table, probabilities, classes = _answers(rows, sites)
    positive = rows["positive_class"].dropna()
    cohort = Cohort(
        name=f"{experiment.name}: {target}, {method}, out of fold",
        model=method,
        target=target,
        classes=classes,
        positive=None if positive.empty else str(positive.iloc[0]),
        table=table,
        probabilities=probabilities,
        slides=_slides(bags, table["PATIENT"]),
        notes=(*notes, *models.notes()),
        comparable=False,
    )
    return Source(cohort, models.of, bags, genomics, request.images, request.expressed)


@dataclass(frozen=True)
class _FoldModels:
    """The models of a run, by the patients that they were tested on."""

    place: Path
    rows: pd.DataFrame
    allow: tuple[str, ...]

    def folders(self, patient: str) -> list[Path]:
        """Where the models lie that had not seen a patient."""
        own = self.rows[self.rows["PATIENT"] == patient]
        keys = own[["seed", "repeat", "fold"]].drop_duplicates().itertuples(index=False)
        return [
            self.place / f"seed-{seed}" / f"repeat-{repeat}-fold-{fold}" / MODEL
            for seed, repeat, fold in keys
        ]

    def of(self, patient: str) -> Bundle:
        """All of them, to be averaged as the table of patients averages their answers."""
        bundles = [_loaded(folder, self.allow) for folder in self.folders(patient)]
        return Bundle(bundles[0].info, tuple(m for b in bundles for m in b.members))

    def notes(self) -> list[str]:
        """Models that are not kept."""
        every = {f for p in self.rows["PATIENT"].unique() for f in self.folders(str(p))}
        gone = sorted(str(folder) for folder in every if not folder.is_dir())
        if not gone:
            return []
        return [
            f"{len(gone)} models of the run are not kept, and their patients have no maps: "
            f"{listed(gone, 3)}; view a bundle instead (`histodistill train`)"
        ]


@lru_cache(maxsize=_KEPT_BUNDLES)
def _loaded(folder: Path, allow: tuple[str, ...]) -> Bundle:
    if not folder.is_dir():
        raise InputError(
            f"{folder}: the model is not kept, and without it there is no map; view a bundle "
            "instead (`histodistill train`)"
        )
    return Bundle.load(folder, allow)


def _inputs(
    experiment: Experiment, request: Request, models: _FoldModels
) -> tuple[BagStore, Mapping[str, pd.DataFrame], pd.Series[str], Sequence[str]]:
    """Bags, genes and sites: as recorded, or as given instead."""
    if request.features is None:
        # Single genes are baselines of reports, and those listed by default need not be there.
        data = load(experiment.model_copy(update={"genes": ()}))
        if data.bags is None:
            raise InputError(f"{request.place}: the run read no slides; there is nothing to view")
        return data.bags, data.genomics, data.clinical.sites, data.notes
    first = models.of(str(models.rows["PATIENT"].iloc[0]))
    bags, told = request.features.open(first.info.patient_pattern)
    blocks, notes = read_blocks(first, request.genomics or {}, request.sample_types)
    return bags, blocks, pd.Series(dtype=str), (*told, *notes)


def _answers(
    rows: pd.DataFrame, sites: pd.Series[str]
) -> tuple[pd.DataFrame, np.ndarray[tuple[int, int], np.dtype[np.float64]], tuple[str, ...]]:
    """A row a patient by the network that read the most; probabilities; classes."""
    classes = target_classes(rows)
    found = {name: answers_of(rows, name, classes) for name in networks_in(rows)}
    patients = sorted({p for own in found.values() for p in own.patients})
    place = {name: {p: i for i, p in enumerate(own.patients)} for name, own in found.items()}
    by = [next(n for n in _PREFERENCE if n in found and p in place[n]) for p in patients]
    at = [place[name][p] for name, p in zip(by, patients, strict=True)]
    table = pd.DataFrame(
        {
            "PATIENT": patients,
            "truth": [classes[found[n].y[i]] for n, i in zip(by, at, strict=True)],
            "call": [_call(found[n], i) for n, i in zip(by, at, strict=True)],
            "answered_by": by,
            "site": [str(sites.get(p) or "") if p in sites.index else "" for p in patients],
            "scope": "",  # test patients of the cohort itself
        }
    )
    for name, own in found.items():
        for column, values in _columns(name, own).items():
            table[column] = pd.Series(patients).map(dict(zip(own.patients, values, strict=True)))
    probabilities = np.array([found[n].probabilities[i] for n, i in zip(by, at, strict=True)])
    return table, probabilities, classes


def _call(answers: Answers, row: int) -> str:
    return answers.classes[answers.calls[row]] if answers.has_calls else ""


def _columns(network: str, answers: Answers) -> dict[str, Any]:
    if answers.binary:
        return {network: answers.positive}
    return {f"{network}:{c}": answers.probabilities[:, k] for k, c in enumerate(answers.classes)}


def _slides(bags: BagStore, patients: pd.Series[str]) -> dict[str, tuple[str, ...]]:
    with_slides = set(bags.patients)
    return {
        p: tuple(slide.path.stem for slide in bags.slides(p)) for p in patients if p in with_slides
    }


def _one_of(kind: str, chosen: str | None, known: list[str]) -> str:
    if chosen is None and len(known) == 1:
        return known[0]
    if chosen not in known:
        given = f"no {kind} {chosen!r}" if chosen else f"say which {kind}"
        raise InputError(f"{given}: --{kind} is one of {', '.join(known) or 'none'}")
    return chosen
