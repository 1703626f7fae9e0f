"""Recalibration of a bundle for a site, from predictions there and the labels of some patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.held_out import HeldOutAnswers
from histodistill.calibration.site import AlignmentWithDoubt, align
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.calibration import BundleCalibration
from histodistill.deploy.scope import OUT
from histodistill.deploy.site import (
    SiteCalibration,
    SiteNetwork,
    require_site_name,
    site_probability,
    training_scale,
)
from histodistill.errors import InputError, listed
from histodistill.evaluation.external import question_of
from histodistill.model import NetworkName

# Fewer labelled patients than these tell nothing that is worth replacing the original for.
LEAST_LABELLED = 10


def recalibrate(
    bundle: Bundle,
    predictions: pd.DataFrame,
    labels: pd.Series[str],
    site: str,
    *,
    source: str = "predictions",
) -> SiteCalibration:
    """Reset calibration and threshold of every network for one site.

    Args:
        bundle: A trained model of two classes.
        predictions: What it predicted for patients of the site, as :func:`histodistill.predict`
            gives it; those without a label help as well.
        labels: Class names by patient; NaN where unknown. Others than those predicted are ignored
            (:func:`label_notes` tells them).
        site: The site's name.
        source: The file that messages name.

    Raises:
        InputError: Predictions of another bundle or that are no probabilities, labels that are no
            class, a target of more than two classes, fewer than ten labelled patients, one class
            alone, or the same answer to everybody.
    """
    require_site_name(site)
    problems = [*_problems(bundle, predictions, source), *_label_problems(bundle, labels)]
    if problems:
        raise InputError(*problems)
    assert bundle.calibration is not None
    known = predictions["PATIENT"].astype(str).map(labels.dropna().astype(str))
    networks: dict[NetworkName, SiteNetwork] = {}
    held_out: dict[NetworkName, HeldOutAnswers] = {}
    told: list[str] = []
    for name in bundle.networks:
        try:
            found = _network(bundle, bundle.calibration, predictions, known, name)
        except InputError as error:
            told += error.problems
            continue
        networks[name], held_out[name] = found
    if not networks:
        told += label_notes(predictions, labels)  # which may be why
        raise InputError(*(f"{source}: {problem}" for problem in told))
    n_labelled = int(known.notna().sum())
    return SiteCalibration(
        site=site,
        bundle=bundle.fingerprint,
        labelled=n_labelled,
        unlabelled=len(predictions) - n_labelled,
        networks=networks,
        held_out=held_out,
    )


def _problems(bundle: Bundle, predictions: pd.DataFrame, source: str) -> Iterator[str]:
    if bundle.info.positive is None:
        yield "recalibration for a site is for two classes, and this bundle has more"
    if bundle.calibration is None or not bundle.calibration.held_out:
        yield "the bundle keeps no held-out answers to compare a site with; train it again"
    if "PATIENT" not in predictions:
        yield f"{source}: the column PATIENT is missing"
        return
    twice = predictions["PATIENT"].duplicated()
    if twice.any():
        yield f"{source}: patient {predictions.loc[twice, 'PATIENT'].iloc[0]} has two rows"
    said = question_of(predictions, source)
    if said.bundle != bundle.fingerprint:
        named = said.bundle or "no bundle"
        yield (
            f"{source}: predictions of {named}, and this bundle is {bundle.fingerprint}; predict "
            "the site's patients with this bundle"
        )

    for name in bundle.networks:
        if name in predictions:
            yield from _answer_problems(predictions, name, source)


def _answer_problems(predictions: pd.DataFrame, name: str, source: str) -> Iterator[str]:
    """Answers that are no probability, the first of them by its patient."""
    numbers = pd.to_numeric(predictions[name], errors="coerce")
    wrong = predictions[name].notna() & ~numbers.between(0, 1)
    if wrong.any():
        patient, value = predictions.loc[wrong, ["PATIENT", name]].iloc[0]
        more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
        yield f"{source}: column {name}, patient {patient}: {value} is no probability{more}"


def _label_problems(bundle: Bundle, labels: pd.Series[str]) -> Iterator[str]:
    strange = sorted(set(labels.dropna().astype(str)) - set(bundle.info.classes))
    if strange:
        yield (
            f"labels {listed(strange)} are none of the classes of the bundle: "
            f"{', '.join(bundle.info.classes)}"
        )


def label_notes(predictions: pd.DataFrame, labels: pd.Series[str]) -> list[str]:
    """Whose label is not used, since nobody predicted them."""
    known = set(predictions["PATIENT"].astype(str))
    others = [str(name) for name in labels.dropna().index if str(name) not in known]
    if not others:
        return []
    return [
        f"the labels of {len(others)} patients are not used, since they are not in the "
        f"predictions: {listed(others)}"
    ]


def _network(
    bundle: Bundle,
    original: BundleCalibration,
    predictions: pd.DataFrame,
    known: pd.Series[str],
    name: NetworkName,
) -> tuple[SiteNetwork, HeldOutAnswers]:
    """One network at the site, and its calibrated answers to the labelled patients.

    Raises:
        InputError: Too few labelled patients of each class have its answer.
    """
    positive = bundle.info.positive_index
    assert positive is not None
    given = _given(predictions, name)
    able = ~np.isnan(given)
    labelled = able & known.notna().to_numpy()
    y = (known[labelled] == bundle.info.positive).to_numpy()
    if labelled.sum() < LEAST_LABELLED or y.all() or not y.any():
        raise InputError(
            f"{name} has answered {int(labelled.sum())} labelled patients ({int(y.sum())} "
            f"positive); it takes {LEAST_LABELLED} or more, of both classes"
        )
    if name not in original.held_out or original.networks[name].name == "none":
        raise InputError(f"{name} is not calibrated in the bundle itself")
    if np.ptp(given[able]) == 0:
        raise InputError(f"{name} gives all patients of the site the same probability")
    both = np.column_stack([1 - given, given] if positive == 1 else [given, 1 - given])
    scores = training_scale(both, positive, name, original)
    kept = original.held_out[name]
    found = align(kept.y, kept.p, y, scores[labelled], scores[able & ~labelled])
    threshold = bundle.threshold(name)
    own = _site_network(found, threshold, name, positive, original)
    calibrated = site_probability(own, both, positive, name, original)
    answers = HeldOutAnswers.of(y, calibrated[labelled], origin="site", scale="calibrated")
    return own, answers


def _site_network(
    found: AlignmentWithDoubt,
    threshold: float | None,
    name: NetworkName,
    positive: int,
    original: BundleCalibration,
) -> SiteNetwork:
    intervals = {f"{key}_interval": found.interval(key) for key in ("shift", "stretch", "share")}
    moved = sensitivity = None
    if threshold is not None:
        scaled = float(_scaled([threshold], name, positive, original)[0])
        kept = original.held_out[name]
        sensitivity = found.sensitivity(kept.p[kept.y], scaled)
        carried = float(found.best.as_site([scaled])[0])
        moved = _given_for(carried, name, positive, original)
    best = found.best
    return SiteNetwork.model_validate(
        {
            "shift": best.shift,
            "stretch": best.stretch,
            "share": best.share,
            **intervals,
            "threshold": moved,
            "sensitivity": sensitivity,
        }
    )


def _scaled(
    p: list[float] | Floats, name: NetworkName, positive: int, original: BundleCalibration
) -> Floats:
    """Given probabilities of the positive class on the scale of the held-out answers."""
    values = np.asarray(p, dtype=np.float64)
    both = np.column_stack([1 - values, values] if positive == 1 else [values, 1 - values])
    return training_scale(both, positive, name, original)


def _given_for(
    wanted: float, name: NetworkName, positive: int, original: BundleCalibration
) -> float:
    """The smallest given probability that is at least this on the scale of the held-out answers."""
    low, high = 0.0, 1.0
    for _ in range(60):  # halving: as exact as the numbers are
        middle = (low + high) / 2
        reached = _scaled([middle], name, positive, original)[0] >= wanted
        low, high = (low, middle) if reached else (middle, high)
    return high


def _given(predictions: pd.DataFrame, name: NetworkName) -> Floats:
    """What a network gave, [n]; NaN where nothing."""
    if name not in predictions:
        return np.full(len(predictions), np.nan)
    numbers = pd.to_numeric(predictions[name], errors="coerce")
    return numbers.to_numpy(dtype=np.float64)


def sentences(bundle: Bundle, found: SiteCalibration) -> Iterator[str]:
    """What was found, with what it leaves open."""
    for name, own in found.networks.items():
        yield (
            f"{name}: scores shifted by {_with(own.shift, own.shift_interval)} log odds and "
            f"stretched by {_with(own.stretch, own.stretch_interval)}; positive "
            f"{_with(own.share, own.share_interval)} of patients"
        )
        before = bundle.threshold(name)
        if own.threshold is not None and own.sensitivity is not None and before is not None:
            yield (
                f"{name}: threshold {before:.3f} becomes {own.threshold:.3f}; sensitivity expected "
                f"{_with(own.sensitivity[0], own.sensitivity[1:])}"
            )
    for name in set(bundle.networks) - set(found.networks):
        yield f"{name}: not recalibrated, for too few labelled patients have its answer"


def scope_notes(predictions: pd.DataFrame) -> list[str]:
    """How many of the site's patients lie outside the limits of training, which stay."""
    if "scope" not in predictions:
        return []
    out = int((predictions["scope"] == OUT).sum())
    if not out:
        return []
    return [
        f"{out} of {len(predictions)} patients of the site have slides unlike those of training; "
        "recalibration does not change that, and triage goes on withholding such patients: where "
        "they are many, train with slides of the site"
    ]


def _with(value: float, interval: Mapping[int, float] | tuple[float, ...]) -> str:
    return f"{value:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
