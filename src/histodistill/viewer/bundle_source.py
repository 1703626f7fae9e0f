"""New patients, answered by a bundle."""

from __future__ import annotations

import numpy as np
import pandas as pd

from histodistill.cohort import declared_target, read_clinical
from histodistill.deploy import Bundle, predict
from histodistill.deploy.panel import bundle_of
from histodistill.errors import InputError
from histodistill.explanation.predictability import require_shown
from histodistill.viewer.cohort import Cohort, Labels, Request
from histodistill.viewer.source import Source
from histodistill.workflows.prediction import read_blocks


def open_bundle(request: Request) -> Source:
    """A bundle and its answers for all patients of the features.

    Raises:
        InputError: As :func:`histodistill.predict`; a table of labels that cannot be read.
    """
    bundle = Bundle.load(bundle_of(request.place, request.target), request.allow)
    if request.features is None:
        raise InputError(f"{request.place}: give --features DIR, or slides to extract them from")
    require_shown(bundle, request.expressed)
    bags, told = request.features.open(bundle.info.patient_pattern)
    blocks, notes = read_blocks(bundle, request.genomics or {}, request.sample_types)
    asked = request.answers.options(bundle.networks)
    predicted = predict(bundle, bags=bags, genomics=blocks, **asked)
    known, about = _labelled(bundle, request.labels)
    answers = predicted.table
    patients = answers["PATIENT"].astype(str)
    info = bundle.info
    table = pd.DataFrame(
        {
            "PATIENT": patients,
            "truth": _texts(patients.map(known["truth"])),
            "call": _texts(answers["call"]),
            "answered_by": _texts(answers["answered_by"]),
            "site": _texts(patients.map(known["site"])),
            "scope": _texts(answers["scope_why"]),
        }
    )
    for column in map(str, answers.columns):
        if column.split(":")[0] in bundle.networks:
            table[column] = answers[column]
    cohort = Cohort(
        name=f"{info.target}, {info.method} (bundle {bundle.fingerprint})",
        model=bundle.fingerprint,
        target=info.target,
        classes=info.classes,
        positive=info.positive,
        table=table,
        probabilities=_probabilities(answers, info.classes, info.positive),
        slides={p: tuple(s.path.stem for s in bags.slides(p)) for p in bags.patients},
        notes=(*bundle.notes, *told, *notes, *predicted.notes, *about),
    )
    return Source(
        cohort,
        lambda _: bundle,
        bags,
        blocks,
        request.images,
        request.expressed,
        request.answers,
    )


def _labelled(bundle: Bundle, labels: Labels | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Truth and site of each patient, as far as they are known; and notes."""
    if labels is None:
        return pd.DataFrame(columns=["truth", "site"], dtype=object), ()
    info = bundle.info
    target = declared_target(info.target, labels.column, info.classes, info.positive, {})
    clinical = read_clinical(
        labels.path,
        [target],
        patient_column=labels.patient_column,
        site_column=labels.site_column,
        by_options=True,
    )
    truth = clinical.labels[info.target].map(
        lambda index: info.classes[int(index)], na_action="ignore"
    )
    return pd.DataFrame({"truth": truth, "site": clinical.sites}), clinical.notes


def _probabilities(
    answers: pd.DataFrame, classes: tuple[str, ...], positive: str | None
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Probabilities by whoever answered each patient, [n, C]."""
    found = np.full((len(answers), len(classes)), np.nan)
    for row, (_, answer) in enumerate(answers.iterrows()):
        network = answer["answered_by"]
        if not network:
            continue
        if positive is None:
            found[row] = [answer[f"{network}:{name}"] for name in classes]
        else:
            index = classes.index(positive)
            found[row, index], found[row, 1 - index] = answer[network], 1 - answer[network]
    return found


def _texts(cells: pd.Series) -> pd.Series[str]:
    return cells.astype(object).where(cells.notna(), "").astype(str)
