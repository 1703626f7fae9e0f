"""Predictions of a bundle for patients with slides, genes or both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.calibration.triage import TriagePolicy
from histodistill.cohort.patients import other_spellings
from histodistill.computing.device import resolve_device
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.calibrated_answers import calibrated_columns, with_triage
from histodistill.deploy.gene_blocks import completed, gene_problems
from histodistill.deploy.gene_scale import compare_scales
from histodistill.deploy.scope import (
    scope_columns,
    scope_notes,
    slides_out_of_scope,
    unknown_hospitals,
)
from histodistill.deploy.triage import triage_rules
from histodistill.errors import InputError, listed
from histodistill.evaluation.layout import ORDERED, joined_classes
from histodistill.experiment.same_patients import same_new_patients
from histodistill.experiment.unlike_slides import unlike_slides
from histodistill.features import BagStore
from histodistill.features.flat import flat_bags
from histodistill.inference import Probabilities, probabilities
from histodistill.model import NetworkName
from histodistill.preparation import PreparedPatients

# Who answers where several can: the network that reads the most.
_PREFERENCE: tuple[NetworkName, ...] = ("multimodal", "genomic", "student")
_WHY: dict[NetworkName, str] = {
    "multimodal": "slides and genomics",
    "genomic": "genomics",
    "student": "slides",
}

OnAnswers = Callable[[int, int], None]


@dataclass(frozen=True)
class Predictions:
    """A table of predictions, and what the reader must know about it.

    Attributes:
        table: One row a patient: ``PATIENT``; for each network its probability of the
            positive class (beyond two classes one column a class, ``network:class``),
            empty where it cannot answer; ``probability`` and ``call`` of the network that
            answers; ``answered_by`` and ``why``; for two classes ``positive_class`` and
            the ``<network>_threshold`` of each network; and, the same in every row, what the
            answers are of: ``target``, its ``classes``, ``method``, and the ``bundle``'s
            fingerprint. Then ``<network>_calibrated`` (``network_calibrated:class``), and
            ``calibrated``, that of the answer that is given; ``scope`` (``in scope``, ``out of
            scope``, or empty where there are no slides to judge) and ``scope_why``; with a
            policy, ``triage`` (``positive``, ``negative`` or ``send to IHC``) and ``triage_why``.
        notes: Plain sentences: genes imputed, patients without an answer.
        failed: Slides that could not be read or encoded, to be tried again; their patients are
            predicted without them.
    """

    table: pd.DataFrame
    notes: tuple[str, ...]
    failed: tuple[str, ...] = ()


def predict(
    bundle: Bundle,
    *,
    bags: BagStore | None = None,
    genomics: Mapping[str, pd.DataFrame] | None = None,
    max_missing_genes: float = 0.2,
    check_scale: bool = True,
    thresholds: Mapping[NetworkName, float] | None = None,
    triage: TriagePolicy | None = None,
    site: str | None = None,
    device: str = "auto",
    on_answers: OnAnswers | None = None,
    patients: Collection[str] | None = None,
) -> Predictions:
    """Predict every patient who has slides, genes or both.

    Args:
        bundle: A trained model.
        bags: Bags of the patients with slides.
        genomics: Blocks by the names that the bundle knows, patients x genes.
        max_missing_genes: Share of a block's genes that may be absent, and are imputed; patients
            who lack more are answered without the block.
        check_scale: Whether genes on another scale than the training patients' are refused; else
            they are told.
        thresholds: Operating thresholds instead of the bundle's own, for two classes.
        triage: Whom to release from the test, instead of the bundle's own policy, if it has one.
        site: The hospital of all patients, whose calibration and thresholds are taken where the
            bundle was calibrated for it. Where it is not named, TCGA barcodes tell who comes from
            a hospital that training has not seen.
        device: Where to compute, see :func:`histodistill.computing.device.resolve_device`.
        on_answers: Told from time to time how many answers there are, and how many there will be:
            one a patient and model of the bundle.
        patients: Whose answers are needed, of those who have slides or genes; by default
            everybody's. They are the same to the last bit as beside everybody's.

    Raises:
        InputError: Features of another width, encoder or patch size, an unknown block, too many
            missing genes, genes on another scale, or nobody to predict.
    """
    given = genomics or {}
    problems = [*_slide_problems(bundle, bags), *gene_problems(bundle, given, max_missing_genes)]
    scale = compare_scales(bundle, given)
    if check_scale:
        problems.extend(scale.problems)
    problems.extend(_two_class_problems(bundle, thresholds, triage, site))
    if problems:
        raise InputError(*problems)
    tables, notes = completed(bundle, given, max_missing_genes)
    notes.extend((*same_new_patients(bags, given), *flat_bags(bags), *unlike_slides(bags)))
    notes.extend(_two_spellings(bags, tables))
    notes.extend(scale.notes if check_scale else (*scale.problems, *scale.notes))
    known = sorted(
        {*(bags.patients if bags else ()), *(p for table in tables.values() for p in table.index)}
    )
    asked = [patient for patient in known if patients is None or patient in patients]
    if not asked:
        raise InputError("nobody to predict: no patient has slides or genomics")
    answers = _average(bundle, bags, tables, known, set(asked), device, on_answers)
    chosen = {name: bundle.threshold(name, site) for name in bundle.networks}
    chosen |= thresholds or {}
    table = _tabulate(bundle, asked, answers, chosen)
    table, told = _released(bundle, table, answers, bags, site, triage)
    notes += told
    unanswered = table.loc[table["answered_by"] == "", "PATIENT"].tolist()
    if unanswered:
        notes.append(
            f"{len(unanswered)} patients are not answered, because no network of the bundle "
            f"reads what they have: {listed(unanswered)}"
        )
    return Predictions(table, tuple(notes))


def _released(
    bundle: Bundle,
    table: pd.DataFrame,
    answers: Probabilities,
    bags: BagStore | None,
    site: str | None,
    triage: TriagePolicy | None,
) -> tuple[pd.DataFrame, list[str]]:
    """The table with calibrated answers, who is out of scope, and whom triage releases."""
    calibrated = calibrated_columns(bundle, answers, table["answered_by"], site)
    table = pd.concat([table, calibrated], axis=1)
    out = slides_out_of_scope(bundle.scope, bags, table["PATIENT"].tolist())
    out |= unknown_hospitals(bundle.info, table["PATIENT"].tolist(), site, list(bundle.sites))
    table = pd.concat([table, scope_columns(table, bundle.scope, bags, out)], axis=1)
    notes = [*scope_notes(out)]
    if site is not None and site not in bundle.sites:
        notes.append(
            f"the bundle was not calibrated for the site {site}: its own calibration and "
            "thresholds are taken; `histodistill calibrate` makes those of the site"
        )
    table, told = with_triage(bundle, table, triage, out, site)
    return table, [*notes, *told]


def check_request(
    bundle: Bundle,
    genomics: Mapping[str, pd.DataFrame],
    *,
    max_missing_genes: float = 0.2,
    check_scale: bool = True,
    thresholds: Mapping[NetworkName, float] | None = None,
    triage: TriagePolicy | None = None,
    site: str | None = None,
    bags: BagStore | None = None,
) -> None:
    """Refuse what :func:`predict` would refuse; arguments as there.

    Raises:
        InputError: Features of another width, encoder or patch size, an unknown block, too many
            missing genes, genes on another scale, a threshold without a use, or a triage policy
            that no network's held-out answers can certify.
    """
    problems = [*_slide_problems(bundle, bags), *gene_problems(bundle, genomics, max_missing_genes)]
    if check_scale:
        problems.extend(compare_scales(bundle, genomics).problems)
    problems.extend(_two_class_problems(bundle, thresholds, triage, site))
    if problems:
        raise InputError(*problems)


def _two_class_problems(
    bundle: Bundle,
    thresholds: Mapping[NetworkName, float] | None,
    triage: TriagePolicy | None,
    site: str | None,
) -> Iterator[str]:
    """A threshold or a policy that has no use, or that the held-out answers cannot certify."""
    if bundle.info.positive is None:
        if thresholds:
            yield "a threshold applies to two classes, and this bundle has more"
        if triage is not None:
            yield "triage is for two classes, and this bundle has more"
    elif triage is not None:
        rules = triage_rules(triage, bundle.calibration_at(site), bundle.networks)
        if all(own.rule is None for own in rules.values()):
            yield from (f"triage by {name}: {own.problem}" for name, own in rules.items())


def _slide_problems(bundle: Bundle, bags: BagStore | None) -> list[str]:
    if bags is None:
        return []
    expected = bundle.info.features
    if expected is None:
        return ["this bundle reads genomics alone; predict without slides"]
    slide = bags.slides(bags.patients[0])[0]
    example = slide.path
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
    given, trained = slide.patch_um, expected.patch_um
    if given is not None and trained is not None and round(given) != round(trained):
        problems.append(
            f"{example}: patches are {given:.0f} µm wide and the bundle was trained on patches "
            f"of {trained:.0f} µm; tile the slides as those were"
        )
    return problems


def _two_spellings(bags: BagStore | None, tables: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Who may be one patient, and is answered as two: spelled otherwise in two inputs."""
    sources = {} if bags is None else {"the slides": list(bags.patients)}
    sources |= {f"block {name}": list(map(str, table.index)) for name, table in tables.items()}
    for (one, names), (other, known) in combinations(sources.items(), 2):
        pairs = other_spellings(set(names).difference(known), set(known).difference(names))
        if pairs:
            yield (
                f"{len(pairs)} patients of {one} may be those of {other} in another spelling, and "
                f"are answered apart: {listed(pairs, 5)}; spell them alike"
            )


def _average(
    bundle: Bundle,
    bags: BagStore | None,
    genomics: Mapping[str, pd.DataFrame],
    patients: list[str],
    wanted: Collection[str],
    device: str,
    on_answers: OnAnswers | None,
) -> Probabilities:
    """Mean probability over the members, of the wanted patients in their order."""
    where = resolve_device(device)
    total: Probabilities = {}
    for index, member in enumerate(bundle.members):
        token_size = member.networks.settings.token_size
        scaled = member.transforms.scaled(genomics)
        prepared = PreparedPatients(bags, scaled, member.transforms, token_size)
        networks = member.networks.to(where)

        def told(n: int, before: int = index * len(patients)) -> None:
            if on_answers is not None:
                on_answers(before + n, len(patients) * len(bundle.members))

        answers = probabilities(networks, prepared, patients, where, on_answers=told, wanted=wanted)
        for name, answer in answers.items():
            total[name] = total.get(name, 0) + answer / len(bundle.members)
    rows = [patient in wanted for patient in patients]
    return {name: answer[rows] for name, answer in total.items()}


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
    if positive is not None:
        columns["positive_class"] = bundle.info.positive
        columns |= {f"{name}_threshold": value for name, value in thresholds.items()}
    if bundle.info.ordered:
        columns[ORDERED] = joined_classes(classes)
    columns |= {
        "target": bundle.info.target,
        "classes": joined_classes(classes),
        "method": bundle.info.method,
        "bundle": bundle.fingerprint,
    }
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
