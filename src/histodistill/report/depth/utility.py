"""What a method's answers are good for: decision curve, and whom triage would spare a test."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from histodistill.calibration.answers import LabelledAnswers, labelled_answers
from histodistill.calibration.out_of_fold import (
    OutOfFoldTriage,
    calibration_out_of_fold,
    triage_out_of_fold,
)
from histodistill.calibration.triage import Bound, TriagePolicy
from histodistill.errors import InputError
from histodistill.evaluation import Runs, decision_curve
from histodistill.report.depth.utility_figures import decision_figure, triage_figure
from histodistill.report.html import Picture, picture
from histodistill.report.plots import write_figure
from histodistill.report.tables import Cell, Section, Table, estimate_text, number, plain_table
from histodistill.spreadsheets import write_csv

RISKS = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2)
"""Stated risks of the triage chart."""

EXTERNAL = (
    "A triage rule and a calibrator are chosen on the patients of the model's development; none is "
    "chosen on these."
)

_FIGURES = {"slope": "Slope", "intercept": "Intercept", "brier": "Brier"}

# Thresholds of the printed table; the CSV has all.
_PRINTED = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Utility:
    """Decision curve and triage; what could not be made is None, and ``said`` tells why.

    Attributes:
        decision: The decision curve.
        decision_table: The same at a few thresholds.
        triage: Spared and realised risk by stated risk.
        triage_table: What the policy did, out of fold.
        rules: The thresholds of the policy, in sentences.
        said: What keeps triage from being judged.
        calibration: Before and after calibration on the other folds.
    """

    decision: Picture | None
    decision_table: Table | None
    triage: Picture | None
    triage_table: Table | None
    rules: tuple[str, ...]
    said: tuple[str, ...]
    calibration: Table | None


@dataclass(frozen=True)
class DrawnRuns:
    """Runs of the methods of a decision curve, the one in depth first.

    Attributes:
        runs: By method.
        probabilities: ``calibrated``, or ``as given`` where not all of them are calibrated.
    """

    runs: Mapping[str, Runs]
    probabilities: str


def utility(
    folder: Path,
    stem: str,
    drawn: DrawnRuns,
    rows: pd.DataFrame,
    network: str,
    policy: TriagePolicy | None,
    sites: pd.Series | None = None,
) -> Utility:
    """Draw and tabulate the utility of one method to one target of two classes.

    Args:
        folder: The report's.
        stem: The target, as part of files' names.
        drawn: The methods of the decision curve.
        rows: The method's rows of the target.
        network: Its network.
        policy: The triage policy; None where no rule may be chosen on these patients.
        sites: The hospital of each patient; None where none is known.
    """
    decision, decision_table = _decision(folder, stem, drawn)
    if policy is None:
        return Utility(decision, decision_table, None, None, (), (EXTERNAL,), None)
    try:
        found = labelled_answers(rows, network, sites)
    except InputError as error:
        return Utility(decision, decision_table, None, None, (), error.problems, None)
    calibration = _calibration(folder, stem, found)
    chart = _chart(folder, stem, {risk: _tried(_both(risk), found) for risk in RISKS})
    try:
        made = _triaged(policy, found)
    except InputError as error:
        return Utility(decision, decision_table, chart, None, (), error.problems, calibration)
    said = (made.note,) if made.note else ()
    table = None
    if made.summary is not None:
        write_csv(folder / "tables" / f"triage-{stem}.csv", made.summary)
        shown = made.summary.rename(columns=lambda name: str(name).capitalize())
        table = plain_table(shown, source=f"tables/triage-{stem}.csv")
    return Utility(
        decision, decision_table, chart, table, tuple(_rules(made, policy)), said, calibration
    )


def _both(risk: float) -> TriagePolicy:
    return TriagePolicy(max_missed=risk, max_false_alarms=risk)


def _triaged(policy: TriagePolicy, found: LabelledAnswers) -> OutOfFoldTriage:
    return triage_out_of_fold(policy, found.y, found.p, found.fold, found.hospital)


def _tried(policy: TriagePolicy, found: LabelledAnswers) -> pd.DataFrame | None:
    """What a policy did out of fold; None where the cohort cannot support it."""
    try:
        return _triaged(policy, found).summary
    except InputError:
        return None


def _decision(folder: Path, stem: str, drawn: DrawnRuns) -> tuple[Picture | None, Table | None]:
    curves = {name: decision_curve(runs) for name, runs in drawn.runs.items() if len(runs)}
    if not curves:
        return None, None
    parts = [
        pd.DataFrame(
            {
                "method": name,
                "threshold": curve.thresholds,
                "net_benefit": curve.net_benefit,
                "low": curve.low,
                "high": curve.high,
                "treat_all": curve.treat_all,
            }
        )
        for name, curve in curves.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    source = f"tables/decision-{stem}.csv"
    write_csv(folder / source, table)
    first = table[(table["method"] == next(iter(curves))) & table["threshold"].isin(_PRINTED)]
    titles = {
        "threshold": "Threshold",
        "net_benefit": "Net benefit",
        "low": "Low",
        "high": "High",
        "treat_all": "Treating all",
    }
    paths = write_figure(decision_figure(curves), folder / "figures", f"decision-{stem}")
    caption = (
        f"Decision curve, probabilities {drawn.probabilities}: true positives a patient, "
        "less the false ones at the price that the threshold implies. The band is the 95 % "
        "bootstrap interval of the first; above both grey lines acting on the probability is "
        "worth it."
    )
    return picture(paths, caption), plain_table(
        first[list(titles)].rename(columns=titles), source=source
    )


def _chart(folder: Path, stem: str, tried: Mapping[float, pd.DataFrame | None]) -> Picture | None:
    known = [table.assign(stated_risk=risk) for risk, table in tried.items() if table is not None]
    if not known:
        return None
    table = pd.concat(known, ignore_index=True)
    write_csv(folder / "tables" / f"triage-chart-{stem}.csv", table)
    paths = write_figure(triage_figure(table), folder / "figures", f"triage-{stem}")
    lacking = [f"{risk:g}" for risk, found in tried.items() if found is None]
    more = f" Too few patients for {', '.join(lacking)}." if lacking else ""
    caption = (
        "Triage at a stated risk, for missed positive patients and for false alarms alike; each "
        "fold by thresholds chosen on the others, with exact 95 % intervals. Realised risks lie "
        f"below the dotted line where the promise is kept.{more}"
    )
    return picture(paths, caption)


def _rules(made: OutOfFoldTriage, policy: TriagePolicy) -> list[str]:
    told = []
    if made.rule.negative is not None:
        told.append(_rule("Negative below", made.rule.negative, "positive patients"))
    if made.rule.positive is not None:
        of = "negative patients" if policy.min_ppv is None else "those called positive"
        told.append(_rule("Positive from", made.rule.positive, of))
    return told


def _rule(side: str, bound: Bound, of: str) -> str:
    errors = f"{bound.errors} error{'' if bound.errors == 1 else 's'}"
    return f"{side} {bound.threshold:.3f}: {errors} of {bound.of} {of}, {bound.promise}."


def _calibration(folder: Path, stem: str, found: LabelledAnswers) -> Table | None:
    """Calibration before and after; None where a fold cannot be calibrated on the others."""
    try:
        table = calibration_out_of_fold(found.y, found.p, found.fold)
    except ValueError:
        return None
    source = f"tables/calibration-after-{stem}.csv"
    write_csv(folder / source, table)
    return _with_intervals(table, source)


def _with_intervals(figures: pd.DataFrame, source: str) -> Table:
    """A row a calibrator, each figure with its interval."""
    rows = tuple(
        (
            Cell(str(row["calibrator"])),
            *(Cell(_figure(row, name)) for name in _FIGURES),
            Cell(number(float(str(row["ece"])))),
        )
        for row in figures.to_dict("records")
    )
    header = ("Calibrator", *(f"{title} [95 %]" for title in _FIGURES.values()), "ECE")
    return Table(header, (Section("", rows),), source)


def _figure(row: Mapping[Hashable, object], name: str) -> str:
    ends = {"estimate": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
    return estimate_text(ends)  # type: ignore[arg-type]
