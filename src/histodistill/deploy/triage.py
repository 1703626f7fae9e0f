"""Triage of new patients: by rules certified on the held-out answers that a bundle keeps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.held_out import HeldOutAnswers, Scale
from histodistill.calibration.network_calibrator import CalibrationSettings
from histodistill.calibration.out_of_fold import calibrated_out_of_fold
from histodistill.calibration.triage import Bound, TriagePolicy, TriageRule, fit_triage
from histodistill.deploy.calibration import BundleCalibration
from histodistill.errors import InputError
from histodistill.model import NetworkName

SEND = "send to IHC"


@dataclass(frozen=True)
class NetworkTriage:
    """The rule of one network, or why it has none.

    Attributes:
        rule: Thresholds; None where the policy cannot be certified.
        scale: Which probabilities the thresholds are of.
        certified_by: Who they are certified by, for a sentence.
        problem: Why there is no rule.
    """

    rule: TriageRule | None
    scale: Scale = "as given"
    certified_by: str = ""
    problem: str = ""


def triage_rules(
    policy: TriagePolicy, calibration: BundleCalibration | None, networks: tuple[NetworkName, ...]
) -> dict[NetworkName, NetworkTriage]:
    """The rule of every network.

    Args:
        policy: What may go wrong, and how often.
        calibration: Held-out answers and calibrators of a bundle; None where it has none.
        networks: Whose rules.
    """
    rules = {}
    for name in networks:
        kept = calibration.held_out.get(name) if calibration else None
        if calibration is None or kept is None or not kept.positive:
            rules[name] = NetworkTriage(None, problem="the bundle keeps no held-out answers of it")
            continue
        try:
            rules[name] = _rule(policy, kept, calibration, name)
        except InputError as error:
            rules[name] = NetworkTriage(None, problem="; ".join(error.problems))
    return rules


def _rule(
    policy: TriagePolicy, kept: HeldOutAnswers, calibration: BundleCalibration, name: NetworkName
) -> NetworkTriage:
    p, scale = kept.p, kept.scale
    if policy.costs is not None and scale == "as given":
        p, scale = _calibrated(kept, calibration, name), "calibrated"
    return NetworkTriage(fit_triage(policy, kept.y, p, kept.hospitals), scale, kept.named)


def _calibrated(kept: HeldOutAnswers, calibration: BundleCalibration, name: NetworkName) -> Floats:
    """Held-out answers, each part calibrated on the others as the network itself was."""
    used = calibration.networks.get(name)
    if used is None or used.name == "none":
        raise InputError("costs need calibrated probabilities, and it is not calibrated")
    settings = CalibrationSettings.model_validate({"method": used.name})
    return calibrated_out_of_fold(kept.y, kept.p, kept.part, settings)


def triage_columns(
    table: pd.DataFrame,
    rules: Mapping[NetworkName, NetworkTriage],
    withheld: Mapping[str, str],
) -> dict[str, list[str]]:
    """The columns ``triage`` and ``triage_why`` of a table of predictions.

    Args:
        table: With ``PATIENT``, ``answered_by``, and the given and calibrated probability of each
            network.
        rules: The rule of every network.
        withheld: Patients who are never released, and why.
    """
    told = [_verdict(row, rules, withheld) for row in table.to_dict("records")]
    return {"triage": [answer for answer, _ in told], "triage_why": [why for _, why in told]}


def _verdict(
    row: Mapping[Hashable, object],
    rules: Mapping[NetworkName, NetworkTriage],
    withheld: Mapping[str, str],
) -> tuple[str, str]:
    name = str(row["answered_by"])
    if not name:
        return SEND, "nobody answers this patient"
    if row["PATIENT"] in withheld:
        return SEND, withheld[str(row["PATIENT"])]
    own = rules[name]  # type: ignore[index]
    if own.rule is None:
        return SEND, f"{name}: {own.problem}"
    column = f"{name}_calibrated" if own.scale == "calibrated" else name
    value = float(str(row[column]))
    (answer,) = own.rule.answers([value])
    probability = "calibrated probability" if own.scale == "calibrated" else "probability"
    return answer, f"{probability} {value:.3f} {_why(answer, own)}"


def _why(answer: str, own: NetworkTriage) -> str:
    assert own.rule is not None
    negative, positive = own.rule.negative, own.rule.positive
    if answer == "negative" and negative is not None:
        return f"is below {negative.threshold:.3f}: {_certificate(negative, 'missed', own)}"
    if answer == "positive" and positive is not None:
        return f"is {positive.threshold:.3f} or more: {_certificate(positive, 'wrong', own)}"
    limits = [
        *([f"not below {negative.threshold:.3f}"] if negative is not None else []),
        *([f"not {positive.threshold:.3f} or more"] if positive is not None else []),
    ]
    return f"is {' and '.join(limits)}" if limits else "is released by no side of the policy"


def _certificate(bound: Bound, what: str, own: NetworkTriage) -> str:
    return f"{bound.errors} of {bound.of} {what} among {own.certified_by}, {bound.promise}"


def triage_notes(rules: Mapping[NetworkName, NetworkTriage], answering: set[str]) -> list[str]:
    """What the reader must know of the rules of those networks that answered somebody."""
    notes = []
    for name, own in rules.items():
        if name not in answering:
            continue
        if own.rule is None:
            notes.append(f"triage: {name} releases nobody: {own.problem}")
            continue
        for side, bound in (("negative", own.rule.negative), ("positive", own.rule.positive)):
            if bound is not None and np.isfinite(bound.threshold):
                sign = "below" if side == "negative" else "from"
                what = "missed" if side == "negative" else "wrong"
                notes.append(
                    f"triage: {name} {side} {sign} {bound.threshold:.3f} ({own.scale}): "
                    f"{_certificate(bound, what, own)}"
                )
    return notes
