"""Confounders on the page: AUC within strata, gain over clinical columns, signal of the site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from histodistill.evaluation import Runs, strata_table
from histodistill.evaluation.clinical_gain import clinical_gain
from histodistill.evaluation.silent_columns import why_silent
from histodistill.evaluation.site_signal import feature_site_signal, score_site_signal
from histodistill.report.evidence import Evidence
from histodistill.report.tables import Cell, Section, Table, estimate_text, number, p_value
from histodistill.spreadsheets import write_csv


@dataclass(frozen=True)
class Confounders:
    """What else might carry a method's answers; None where it could not be asked.

    Attributes:
        strata: AUC as it is and within strata.
        gain: Clinical columns alone, the model, and both.
        clinical: Names of the clinical columns.
        site: How well features and scores tell the site.
        said: Columns that strata or the clinical model leave out, and why, in sentences.
    """

    strata: Table | None
    gain: Table | None
    clinical: tuple[str, ...]
    site: Table | None
    said: tuple[str, ...]


def confounders(
    folder: Path, stem: str, runs: Runs, rows: pd.DataFrame, network: str, evidence: Evidence
) -> Confounders:
    """Tabulate the confounders of one method and one target of two classes."""
    said: list[str] = []
    columns = _telling(runs, evidence.clinical, said)
    return Confounders(
        _strata(folder, stem, runs, evidence.groups, said),
        _gain(folder, stem, rows, network, columns, said),
        () if columns is None else tuple(str(name) for name in columns),
        _site(folder, stem, runs, evidence),
        tuple(said),
    )


def _telling(runs: Runs, clinical: pd.DataFrame | None, said: list[str]) -> pd.DataFrame | None:
    """The clinical columns that can tell these patients apart; None where there are none."""
    if clinical is None:
        return None
    silent = {name: why for name in clinical if (why := why_silent(runs, clinical[name]))}
    said += [f"Not in the clinical model: {name}: {why}." for name, why in silent.items()]
    left = clinical.drop(columns=list(silent))
    return None if left.columns.empty else left


def _strata(
    folder: Path, stem: str, runs: Runs, groups: Mapping[str, pd.Series], said: list[str]
) -> Table | None:
    telling = {name: own for name, own in groups.items() if not why_silent(runs, own)}
    found = strata_table(runs, telling)
    if lacking := [name for name in telling if name not in set(found["column"])]:
        said.append(
            f"No AUC within strata of {', '.join(lacking)}: fewer than two of the levels have "
            "patients of both classes."
        )
    if found.empty:
        return None
    source = f"tables/strata-{stem}.csv"
    write_csv(folder / source, found)
    rows = [
        (
            str(row["column"]),
            f"{row['n_patients']} ({row['n_positive']} / {row['n_patients'] - row['n_positive']})",
            str(row["strata"]),
            _interval(row, "auc", "auc_low", "auc_high"),
            _interval(row, "within", "within_low", "within_high"),
            f"{row['difference']:+.3f}",
        )
        for row in found.to_dict("records")
    ]
    header = ("Column", "Patients (positive / negative)", "Strata", "AUC [95 %]")
    return _made((*header, "AUC within strata [95 %]", "Difference"), rows, source)


def _gain(
    folder: Path,
    stem: str,
    rows: pd.DataFrame,
    network: str,
    clinical: pd.DataFrame | None,
    said: list[str],
) -> Table | None:
    if clinical is None:
        return None
    found = clinical_gain(rows, network, clinical)
    if found.empty:
        said.append("No clinical-only model: a fold cannot be learnt from the others.")
        return None
    source = f"tables/gain-{stem}.csv"
    write_csv(folder / source, found)
    lines = [
        (
            str(row["answers"]),
            f"{row['n_patients']} ({row['n_positive']} / {row['n_patients'] - row['n_positive']})",
            _interval(row, "auc", "low", "high"),
            "" if pd.isna(row["gain"]) else _interval(row, "gain", "gain_low", "gain_high"),
            "" if pd.isna(row["p_delong"]) else p_value(row["p_delong"]),
        )
        for row in found.to_dict("records")
    ]
    header = ("Answers", "Patients (positive / negative)", "AUC [95 %]")
    return _made((*header, "Gain over clinical columns [95 %]", "p (DeLong)"), lines, source)


def _site(folder: Path, stem: str, runs: Runs, evidence: Evidence) -> Table | None:
    if evidence.patients is None or "site" not in evidence.patients:
        return None
    sites = evidence.patients["site"]
    asked = {"scores": score_site_signal(runs, sites)}
    if evidence.features is not None:
        asked["features"] = feature_site_signal(evidence.features, sites)
    known = {name: signal for name, signal in asked.items() if signal is not None}
    if not known:
        return None
    found = pd.DataFrame([{"of": name, **asdict(signal)} for name, signal in known.items()])
    source = f"tables/site-signal-{stem}.csv"
    write_csv(folder / source, found)
    lines = [
        (
            str(row["of"]).capitalize(),
            str(row["n_patients"]),
            str(row["n_sites"]),
            str(row["figure"]),
            number(row["value"]),
            number(row["expected"]),
            "" if pd.isna(row["p"]) else p_value(row["p"]),
        )
        for row in found.to_dict("records")
    ]
    header = ("Of", "Patients", "Sites", "Figure", "Found", "By chance", "p (permutation)")
    return _made(header, lines, source)


def _made(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], source: str) -> Table:
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    return Table(header, (Section("", cells),), source)


def _interval(row: Mapping[object, object], value: str, low: str, high: str) -> str:
    ends = {"estimate": row[value], "low": row[low], "high": row[high]}
    return estimate_text(ends)  # type: ignore[arg-type]
