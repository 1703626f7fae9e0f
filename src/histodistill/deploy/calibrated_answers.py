"""What a bundle's calibrators and its triage add to a table of predictions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from histodistill.calibration.calibrator import Floats
from histodistill.calibration.triage import TriagePolicy
from histodistill.deploy.bundle import Bundle
from histodistill.deploy.triage import triage_columns, triage_notes, triage_rules
from histodistill.evaluation.layout import calibrated_column
from histodistill.inference import Probabilities
from histodistill.model import NetworkName


def calibrated_columns(
    bundle: Bundle, answers: Probabilities, answered_by: pd.Series[str], site: str | None = None
) -> pd.DataFrame:
    """``NETWORK_calibrated`` of every network, and ``calibrated``, that of who answered.

    Args:
        bundle: A trained model.
        answers: Class probabilities of its networks, [n, C].
        answered_by: The network that answers each patient; empty where none does.
        site: A hospital whose calibration is applied, where the bundle has one.
    """
    classes, positive = bundle.info.classes, bundle.info.positive_index
    chosen = np.full(len(answered_by), np.nan)
    columns: dict[str, Floats] = {}
    for name, answer in answers.items():
        known = _calibrated(bundle, name, answer, site)
        own = (answered_by == name).to_numpy()
        if positive is not None:
            columns[calibrated_column(name)] = known[:, positive]
            chosen[own] = known[own, positive]
        else:
            for place, label in enumerate(classes):
                columns[calibrated_column(f"{name}:{label}")] = known[:, place]
            chosen[own] = known[own, answer[own].argmax(axis=1)]
    return pd.DataFrame(columns | {"calibrated": chosen}, index=answered_by.index)


def _calibrated(bundle: Bundle, name: NetworkName, answer: Floats, site: str | None) -> Floats:
    """Calibrated class probabilities [n, C]; NaN where nothing calibrates them."""
    original, positive = bundle.calibration, bundle.info.positive_index
    if original is None or name not in original.networks:
        return np.full(answer.shape, np.nan)
    here = bundle.sites.get(site) if site is not None else None
    if here is not None and positive is not None:
        return here.calibrated(name, answer, positive, original)
    return original.networks[name].transform(answer, positive)


def with_triage(
    bundle: Bundle,
    table: pd.DataFrame,
    policy: TriagePolicy | None,
    withheld: Mapping[str, str],
    site: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The table with ``triage`` and ``triage_why``, where a policy is stated; and notes.

    Args:
        bundle: A trained model.
        table: Predictions.
        policy: What is asked for; None for the bundle's own policy.
        withheld: Patients who are never released, and why.
        site: A hospital whose own patients certify it, where the bundle was calibrated for it.
    """
    calibration = bundle.calibration_at(site)
    stated = policy or (calibration.triage if calibration else None)
    if stated is None:
        return table, []
    rules = triage_rules(stated, calibration, bundle.networks)
    notes = triage_notes(rules, set(table["answered_by"]))
    return table.assign(**triage_columns(table, rules, withheld)), notes
