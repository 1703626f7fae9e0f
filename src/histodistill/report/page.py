"""The report: one self-contained HTML page, with its tables and figures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from histodistill.errors import InputError
from histodistill.evaluation import (
    Runs,
    compare,
    contenders_in,
    evaluate,
    networks_in,
    runs_of,
    target_classes,
)
from histodistill.evaluation.intervals import RESAMPLES
from histodistill.files import write_text
from histodistill.report.html import LIMITS, Picture, page_template, picture
from histodistill.report.plots import (
    calibration_figure,
    precision_recall_figure,
    roc_figure,
    training_figure,
    write_figure,
)
from histodistill.report.tables import (
    INPUTS,
    Table,
    headline_table,
    metrics_table,
    plain_table,
    write_table,
)
from histodistill.spreadsheets import write_csv

PAGE = "report.html"


@dataclass(frozen=True)
class Report:
    """What a report tells, as plain data.

    Attributes:
        title: Headline of the page.
        predictions: A checked predictions table.
        settings: What was run: name and value of each setting worth showing.
        cohort: Counts of patients, any columns.
        excluded: Patients left out: columns ``PATIENT`` and ``reason``.
        training: Epoch records of training runs, by the run's name.
        versions: Versions of the software.
        limits: Sentences added to the limits that hold always.
        reference: The contender that the others are compared with, ``METHOD NETWORK``; no
            comparison where it is None.
        simulated: Whether the cohort is simulated; the page then says so at the top.
    """

    title: str
    predictions: pd.DataFrame
    settings: Mapping[str, str] = field(default_factory=dict)
    cohort: pd.DataFrame | None = None
    excluded: pd.DataFrame | None = None
    training: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    limits: Sequence[str] = ()
    reference: str | None = None
    simulated: bool = False


@dataclass(frozen=True)
class _Target:
    name: str
    pictures: list[Picture]
    pooled: Table
    folds: Table


def write_report(
    folder: Path, report: Report, *, n_resamples: int = RESAMPLES, seed: int = 0
) -> Path:
    """Evaluate the predictions and write ``report.html``, ``tables/`` and ``figures/``.

    Args:
        folder: Where the report goes; files of the same names are replaced.
        report: What to tell.
        n_resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Returns:
        Path of the page, which needs no other file.
    """
    evaluation = evaluate(report.predictions, n_resamples=n_resamples, seed=seed)
    write_csv(folder / "tables" / "summary.csv", evaluation.summary)
    write_csv(folder / "tables" / "folds.csv", evaluation.folds)
    headline = headline_table(evaluation.summary)
    write_table(headline, folder / "tables", "auc", "Area under the ROC curve.")
    comparison, not_compared = _comparison(folder, report, n_resamples, seed)
    page = page_template("report.html.jinja").render(
        report=report,
        limits=[*LIMITS, *report.limits],
        cohort=None if report.cohort is None else plain_table(report.cohort),
        excluded=_excluded(folder, report.excluded),
        headline=headline,
        targets=_targets(folder, report.predictions, evaluation.summary),
        comparison=comparison,
        not_compared=not_compared,
        training=_training(folder, report),
        notes=_notes(evaluation.summary),
    )
    write_text(folder / PAGE, page)
    return folder / PAGE


def _comparison(
    folder: Path, report: Report, n_resamples: int, seed: int
) -> tuple[Table | None, tuple[str, ...]]:
    """The comparison's table, or why there is none."""
    if report.reference is None:
        return None, ()
    try:
        table = compare(
            contenders_in(report.predictions),
            report.reference,
            common_patients=True,
            n_resamples=n_resamples,
            seed=seed,
        )
    except InputError as error:
        return None, error.problems
    write_csv(folder / "tables" / "comparison.csv", table)
    shown = plain_table(_readable(table))
    write_table(shown, folder / "tables", "comparison", f"Differences from {report.reference}.")
    return shown, ()


def _readable(comparison: pd.DataFrame) -> pd.DataFrame:
    """The comparison for reading: the interval in one column, the names of people's words."""
    interval = [
        f"{low:+.3f} to {high:+.3f}"
        for low, high in zip(comparison["low"], comparison["high"], strict=True)
    ]
    columns = {
        "Target": comparison["target"],
        "Method": comparison["contender"],
        "Patients": comparison["n_patients"],
        "Positive": comparison["n_positive"],
        "Models": comparison["n_models"],
        "Models of reference": comparison["n_models_reference"],
        "AUC": comparison["auc"],
        "AUC of reference": comparison["auc_reference"],
        "Difference": [f"{value:+.3f}" for value in comparison["difference"]],
        "95 % interval": interval,
        "p (DeLong)": comparison["p_delong"],
        "p (bootstrap)": comparison["p_bootstrap"],
        "p (Holm)": comparison["p_holm"],
        "Notes": comparison["notes"],
    }
    return pd.DataFrame(columns).dropna(axis="columns", how="all")


def _excluded(folder: Path, excluded: pd.DataFrame | None) -> Table | None:
    """Patients left out, counted by reason; each one is listed in a CSV."""
    if excluded is None or excluded.empty:
        return None
    write_csv(folder / "tables" / "excluded.csv", excluded)
    counts = excluded["reason"].value_counts().rename_axis("Reason").reset_index(name="Patients")
    return plain_table(counts)


def _targets(folder: Path, predictions: pd.DataFrame, summary: pd.DataFrame) -> list[_Target]:
    targets = []
    for name, rows in predictions.groupby("target", sort=False):
        pooled = metrics_table(summary, str(name), "pooled")
        folds = metrics_table(summary, str(name), "folds")
        stem = _stem(str(name))
        write_table(pooled, folder / "tables", f"metrics-{stem}", f"{name}, pooled over folds.")
        write_table(folds, folder / "tables", f"folds-{stem}", f"{name}, mean and sd over folds.")
        targets.append(_Target(str(name), _pictures(folder, stem, rows), pooled, folds))
    return targets


def _pictures(folder: Path, stem: str, rows: pd.DataFrame) -> list[Picture]:
    """The curves of a two-class target; none beyond two classes."""
    if rows["positive_class"].isna().all():
        return []
    panels = _panels(rows)
    drawn = {
        "roc": (
            roc_figure,
            "ROC curves, patients of all folds, with 95 % bootstrap bands; AUC with its 95 % "
            "score interval; the mean of several seeds.",
        ),
        "precision-recall": (
            precision_recall_figure,
            "Precision-recall curves and average precision; dotted, the share of positive "
            "patients; the mean of several seeds.",
        ),
        "calibration": (
            calibration_figure,
            "Reliability: observed frequency by predicted probability, smoothed (local lines, "
            "Gaussian weights), with 95 % bootstrap bands; below, patients in each tenth.",
        ),
    }
    return [
        picture(write_figure(draw(panels), folder / "figures", f"{kind}-{stem}"), caption)
        for kind, (draw, caption) in drawn.items()
    ]


def _panels(rows: pd.DataFrame) -> dict[str, dict[str, Runs]]:
    """A panel for each kind of input, in it a curve for each method."""
    classes = target_classes(rows)
    panels: dict[str, dict[str, Runs]] = {INPUTS[network]: {} for network in networks_in(rows)}
    for method, of_method in rows.groupby("method", sort=False):
        for network in networks_in(of_method):
            panels[INPUTS[network]][str(method)] = runs_of(of_method, network, classes)
    return panels


def _training(folder: Path, report: Report) -> list[Picture]:
    return [
        picture(
            write_figure(training_figure(records), folder / "figures", f"training-{_stem(name)}"),
            f"{name}; dotted, the best epoch.",
        )
        for name, records in report.training.items()
        if records
    ]


def _notes(summary: pd.DataFrame) -> list[str]:
    """What was undefined or left out, a sentence a target, method and network."""
    noted = summary[summary["notes"] != ""].drop_duplicates(["target", "method", "network"])
    return [
        f"{row['target']}, {row['method']} ({INPUTS[row['network']].lower()}): {row['notes']}."
        for row in noted.to_dict("records")
    ]


def _stem(name: str) -> str:
    """A name as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
