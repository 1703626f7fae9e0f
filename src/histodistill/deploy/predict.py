"""Predictions of a bundle for patients with slides, genes or both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.deploy.bundle import Bundle
from histodistill.deploy.inference import Probabilities, probabilities
from histodistill.errors import InputError, listed
from histodistill.features import BagStore
from histodistill.model import NetworkName
from histodistill.model.device import resolve_device
from histodistill.preparation import PreparedPatients

# Who answers where several can: the network that reads the most.
_PREFERENCE: tuple[NetworkName, ...] = ("multimodal", "genomic", "student")
_WHY: dict[NetworkName, str] = {
    "multimodal": "slides and genomics",
    "genomic": "genomics",
    "student": "slides",
}


@dataclass(frozen=True)
class Predictions:
    """A table of predictions, and what the reader must know about it.

    Attributes:
        table: One row a patient: ``PATIENT``; for each network its probability of the
            positive class (beyond two classes one column a class, ``network:class``),
            empty where it cannot answer; ``probability`` and ``call`` of the network that
            answers; ``answered_by`` and ``why``; ``positive_class``; and the
            ``<network>_threshold`` of each network.
        notes: Plain sentences: genes imputed, patients without an answer.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]


def predict(
    bundle: Bundle,
    *,
    bags: BagStore | None = None,
    genomics: Mapping[str, pd.DataFrame] | None = None,
    max_missing_genes: float = 0.2,
    thresholds: Mapping[NetworkName, float] | None = None,
    device: str = "auto",
) -> Predictions:
    """Predict every patient who has slides, genes or both.

    Args:
        bundle: A trained model.
        bags: Bags of the patients with slides.
        genomics: Blocks by the names that the bundle knows, patients x genes.
        max_missing_genes: Share of a block's genes that may be absent, and are imputed.
        thresholds: Operating thresholds instead of the bundle's own.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:<n>``.

    Raises:
        InputError: Features of another width or encoder, an unknown block, too many
            missing genes, or nobody to predict.
    """
    genomics = genomics or {}
    _check_slides(bundle, bags)
    notes = _check_genes(bundle, genomics, max_missing_genes)
    patients = sorted(
        {*(bags.patients if bags else ()), *(p for table in genomics.values() for p in table.index)}
    )
    if not patients:
        raise InputError("nobody to predict: no patient has slides or genomics")
    answers = _average(bundle, bags, genomics, patients, device)
    chosen = {name: bundle.threshold(name) for name in bundle.networks} | dict(thresholds or {})
    table = _tabulate(bundle, patients, answers, chosen)
    unanswered = table.loc[table["answered_by"] == "", "PATIENT"].tolist()
    if unanswered:
        notes.append(
            f"{len(unanswered)} patients are not answered, because no network of the bundle "
            f"reads what they have: {listed(unanswered)}"
        )
    return Predictions(table, tuple(notes))


def _check_slides(bundle: Bundle, bags: BagStore | None) -> None:
    if bags is None:
        return
    expected = bundle.info.features
    if expected is None:
        raise InputError("this bundle reads genomics alone; predict without slides")
    example = bags.slides(bags.patients[0])[0].path
    again = "extract the slides with the encoder that the bundle was trained on"
    problems = []
    if bags.width != expected.width:
        problems.append(
            f"{example}: features are {bags.width} wide and the bundle was trained on "
            f"{expected.width} ({expected.encoder or 'encoder not recorded'}); {again}"
        )
    if bags.encoder and expected.encoder and bags.encoder != expected.encoder:
        problems.append(
            f"{example}: features come from the encoder {bags.encoder} and the bundle was "
            f"trained on {expected.encoder}; {again}"
        )
    if problems:
        raise InputError(*problems)


def _check_genes(
    bundle: Bundle, genomics: Mapping[str, pd.DataFrame], max_missing: float
) -> list[str]:
    blocks = bundle.members[0].transforms.blocks
    unknown = sorted(set(genomics) - set(blocks))
    if unknown:
        known = ", ".join(blocks) or "none"
        raise InputError(f"the bundle knows no block {', '.join(unknown)}; it knows: {known}")
    notes, problems = [], []
    for name, table in genomics.items():
        wanted = {g for m in bundle.members for g in m.transforms.blocks[name].genes_}
        missing = sorted(wanted - set(table.columns))
        if len(missing) > max_missing * len(wanted):
            problems.append(
                f"block {name}: {len(missing)} of the bundle's {len(wanted)} genes are absent "
                f"({listed(missing)}), more than the share {max_missing:g} that may be imputed"
            )
        elif missing:
            notes.append(
                f"block {name}: {len(missing)} of {len(wanted)} genes are absent and were "
                f"imputed: {listed(missing)}"
            )
    if problems:
        raise InputError(*problems)
    return notes


def _average(
    bundle: Bundle,
    bags: BagStore | None,
    genomics: Mapping[str, pd.DataFrame],
    patients: list[str],
    device: str,
) -> Probabilities:
    """Mean probability over the members."""
    where = resolve_device(device)
    total: Probabilities = {}
    for member in bundle.members:
        token_size = member.networks.settings.token_size
        prepared = PreparedPatients(bags, genomics, member.transforms, token_size)
        networks = member.networks.to(where)
        for name, answer in probabilities(networks, prepared, patients, where).items():
            total[name] = total.get(name, 0) + answer / len(bundle.members)
    return total


def _tabulate(
    bundle: Bundle,
    patients: list[str],
    answers: Probabilities,
    thresholds: Mapping[NetworkName, float | None],
) -> pd.DataFrame:
    classes, positive = bundle.info.classes, bundle.info.positive_index
    columns: dict[str, object] = {"PATIENT": patients}
    for name in ("student", "multimodal", "genomic"):
        answer = answers.get(name, np.full((len(patients), len(classes)), np.nan))
        if positive is not None:
            columns[name] = answer[:, positive]
        else:
            columns |= {f"{name}:{label}": answer[:, i] for i, label in enumerate(classes)}
    verdicts = [
        _verdict({name: answer[row] for name, answer in answers.items()}, bundle, thresholds)
        for row in range(len(patients))
    ]
    columns |= {key: [verdict[key] for verdict in verdicts] for key in verdicts[0]}
    columns["positive_class"] = bundle.info.positive or ""
    columns |= {f"{name}_threshold": value for name, value in thresholds.items()}
    return pd.DataFrame(columns)


def _verdict(
    answers: Mapping[NetworkName, NDArray[np.float64]],
    bundle: Bundle,
    thresholds: Mapping[NetworkName, float | None],
) -> dict[str, object]:
    """Probability, call and reason for one patient."""
    able = [n for n in _PREFERENCE if n in answers and not np.isnan(answers[n]).any()]
    if not able:
        why = "no network of the bundle reads what this patient has"
        return {"probability": np.nan, "call": "", "answered_by": "", "why": why}
    network = able[0]
    classes, positive = bundle.info.classes, bundle.info.positive_index
    why = f"has {_WHY[network]}"
    if positive is None:
        best = int(answers[network].argmax())
        probability, call = answers[network][best], classes[best]
    else:
        probability = answers[network][positive]
        threshold = thresholds.get(network)
        if threshold is None:
            call, why = "", f"{why}; no threshold is stored, so there is no call"
        else:
            call = classes[positive] if probability >= threshold else classes[1 - positive]
    return {"probability": probability, "call": call, "answered_by": network, "why": why}
