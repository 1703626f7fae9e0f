"""One method in depth, for one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.calibration.triage import TriagePolicy
from histodistill.evaluation import Runs, as_calibrated, networks_in, runs_of, target_classes
from histodistill.evaluation.calibration_figures import CALIBRATED, GIVEN
from histodistill.report.depth.confounders import Confounders, confounders
from histodistill.report.depth.distribution import (
    Distribution,
    answered,
    distribution,
    distribution_table,
)
from histodistill.report.depth.errors import worst_errors
from histodistill.report.depth.subgroups import Subgroups, subgroups
from histodistill.report.depth.utility import DrawnRuns, Utility, utility
from histodistill.report.evidence import Evidence
from histodistill.report.tables import INPUTS, Table, plain_table
from histodistill.spreadsheets import write_csv


@dataclass(frozen=True)
class Chosen:
    """Whose answers are looked at in depth: a method, and one of its networks."""

    method: str
    network: str

    def __str__(self) -> str:
        return f"{self.method} ({INPUTS[self.network].lower()})"


@dataclass(frozen=True)
class DepthSection:
    """One method in depth; what does not apply is None.

    Attributes:
        chosen: The method, in words.
        distribution: Probabilities by outcome.
        distribution_table: Their quartiles.
        utility: Decision curve and triage; None beyond two classes.
        subgroups: AUC by subgroup.
        confounders: None beyond two classes.
        errors: The worst errors.
    """

    chosen: str
    distribution: Distribution
    distribution_table: Table
    utility: Utility | None
    subgroups: Subgroups | None
    confounders: Confounders | None
    errors: Table | None


@dataclass(frozen=True)
class Asked:
    """What every target's depth is made of.

    Attributes:
        chosen: The method and network; another is taken for a target that it does not answer.
        evidence: What is known of the patients.
        policy: The triage policy.
        anchors: The place of the page of each patient.
        external: Whether one model predicted all patients.
    """

    chosen: Chosen
    evidence: Evidence
    policy: TriagePolicy
    anchors: dict[str, str]
    external: bool = False


def depth_section(
    folder: Path, stem: str, target: str, rows: pd.DataFrame, asked: Asked
) -> DepthSection | None:
    """Draw and tabulate one method's answers to one target.

    Args:
        folder: The report's.
        stem: The target, as part of files' names.
        target: The target.
        rows: The target's rows of a checked predictions table, of the methods that are drawn.
        asked: What is looked at.

    Returns:
        None where nobody with a label is answered.
    """
    classes = target_classes(rows)
    chosen = present(rows, asked.chosen)
    own = rows[rows["method"] == chosen.method]
    runs = runs_of(own, chosen.network, classes)
    if not len(runs):
        return None
    answers = answered(runs)
    source = f"tables/distribution-{stem}.csv"
    quartiles = distribution_table(answers, classes)
    write_csv(folder / source, quartiles)
    # Nobody needs to be told that the target is none of its own subgroups, but who named it.
    given = asked.evidence
    groups = {k: v for k, v in given.groups.items() if k != target or k in given.asked}
    evidence = given.of(groups)
    return DepthSection(
        chosen=str(chosen),
        distribution=distribution(answers, classes, asked.anchors),
        distribution_table=plain_table(quartiles, source=source),
        utility=_utility(folder, stem, rows, chosen, asked, classes),
        subgroups=subgroups(folder, stem, runs, groups),
        confounders=confounders(folder, stem, runs, own, chosen.network, evidence)
        if runs.binary and not runs.missing_classes()
        else None,
        errors=worst_errors(
            folder, stem, answers, classes[1] if runs.binary else None, asked.anchors
        ),
    )


def present(rows: pd.DataFrame, chosen: Chosen) -> Chosen:
    """The chosen method and network, or the first that answer these rows."""
    methods = list(rows["method"].unique())
    method = chosen.method if chosen.method in methods else str(methods[0])
    known = networks_in(rows[rows["method"] == method])
    network = chosen.network if chosen.network in known else (known or ["student"])[0]
    return Chosen(method, network)


def _utility(
    folder: Path,
    stem: str,
    rows: pd.DataFrame,
    chosen: Chosen,
    asked: Asked,
    classes: tuple[str, ...],
) -> Utility | None:
    if len(classes) != 2:
        return None
    drawn = _drawn(rows, chosen, classes)
    if drawn.runs[chosen.method].missing_classes():
        return None
    own = rows[rows["method"] == chosen.method]
    policy = None if asked.external else asked.policy
    patients = asked.evidence.patients
    sites = None if patients is None else patients.get("site")
    return utility(folder, stem, drawn, own, chosen.network, policy, sites)


def _drawn(rows: pd.DataFrame, chosen: Chosen, classes: tuple[str, ...]) -> DrawnRuns:
    """Runs of a decision curve: a threshold means a price where probabilities are calibrated."""
    given = _same_inputs(rows, chosen, classes)
    calibrated = _same_inputs(as_calibrated(rows), chosen, classes)
    same = {m: len(runs) for m, runs in given.items()} == {m: len(r) for m, r in calibrated.items()}
    return DrawnRuns(calibrated, CALIBRATED) if same else DrawnRuns(given, GIVEN)


def _same_inputs(
    rows: pd.DataFrame, chosen: Chosen, classes: tuple[str, ...]
) -> Mapping[str, Runs]:
    """Runs of the methods that read the same, the chosen one first."""
    methods = [chosen.method, *(m for m in rows["method"].unique() if m != chosen.method)]
    return {
        str(method): runs_of(own, chosen.network, classes)
        for method in methods
        if chosen.network in networks_in(own := rows[rows["method"] == method])
    }
