"""What is told of each class: who was called what, and each class's own figures."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from histodistill.evaluation import (
    METRICS,
    NETWORKS,
    is_of_order,
    metric_label,
    parts,
    without_classes,
)
from histodistill.report.tables import EMPTY, INPUTS, Cell, Section, Table, estimate_text

KEY = ["target", "method", "network"]


def class_figures(predictions: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """Each class against the rest, of the targets with more than two classes.

    Args:
        predictions: A checked predictions table.
        summary: ``EvaluationTables.summary`` of it.

    Returns:
        A row a target, method, network, class and metric: ``n_patients`` of the class,
        ``estimate``, ``low`` and ``high``.
    """
    metrics = [n for n in without_classes(summary["metric"]) if METRICS.facts(n).against_rest]
    found = {
        (*(str(row[name]) for name in (*KEY, "metric")),): row for row in summary.to_dict("records")
    }
    records = []
    for part in parts(predictions):
        runs = part.runs()
        if runs.binary:
            continue
        key = (part.target, part.method, part.network)
        for label, n in zip(runs.classes, runs.counts.tolist(), strict=True):
            for metric in metrics:
                row = found.get((*key, f"{metric}:{label}"))
                if row is not None:
                    figures = {name: row[name] for name in ("estimate", "low", "high")}
                    named = {"class": label, "n_patients": n, "metric": metric}
                    records.append({**dict(zip(KEY, key, strict=True)), **named, **figures})
    names = [*KEY, "class", "n_patients", "metric", "estimate", "low", "high"]
    return pd.DataFrame(records, columns=names)


def class_table(figures: pd.DataFrame) -> Table:
    """The figures of one target: a section for each kind of input, a row a method and class."""
    metrics = list(figures["metric"].unique())
    sections = []
    for network in NETWORKS:
        own = figures[figures["network"] == network]
        rows = []
        for (method, label), of_class in own.groupby(["method", "class"], sort=False):
            by_metric = {row["metric"]: row for row in of_class.to_dict("records")}
            texts = [estimate_text(by_metric[name]) for name in metrics]
            counted = str(of_class["n_patients"].iloc[0])
            rows.append(tuple(Cell(text) for text in (str(method), str(label), counted, *texts)))
        if rows:
            sections.append(Section(INPUTS[network], tuple(rows)))
    header = ("Method", "Class", "Patients", *(metric_label(name) for name in metrics))
    return Table(header, tuple(sections))


def order_table(summary: pd.DataFrame) -> Table | None:
    """What one target with ordered classes is judged by besides; None for any other.

    Args:
        summary: The target's rows of ``EvaluationTables.summary``.

    Returns:
        A section for each kind of input, a row a method: quadratic-weighted kappa, and the AUC of
        each cut between two classes.
    """
    metrics = [str(name) for name in summary["metric"].unique() if is_of_order(str(name))]
    if not metrics:
        return None
    sections = []
    for network in NETWORKS:
        own = summary[summary["network"] == network]
        rows = []
        for method, of_method in own.groupby("method", sort=False):
            by_metric = {row["metric"]: row for row in of_method.to_dict("records")}
            texts = [estimate_text(by_metric[name]) for name in metrics]
            rows.append(tuple(Cell(text) for text in (str(method), *texts)))
        if rows:
            sections.append(Section(INPUTS[network], tuple(rows)))
    header = ("Method", *(_of_order(name) for name in metrics))
    return Table(header, tuple(sections))


def _of_order(metric: str) -> str:
    """What a table calls a metric of ordered classes."""
    name, _, part = metric.partition(":")
    return f"{metric_label(name)}, {part}"


def confusions(predictions: pd.DataFrame) -> pd.DataFrame:
    """Who was called what.

    Args:
        predictions: A checked predictions table.

    Returns:
        A row a target, method, network, ``class`` and class ``called``: ``patients``, the mean over
        seeds and repeats, and ``percent`` of the class with its exact 95 % interval (NaN where
        nobody has it). Networks without calls have none.
    """
    records = []
    for part in parts(predictions):
        runs = part.runs()
        counts = runs.confusion()
        if counts is None:
            continue
        for row, label in enumerate(runs.classes):
            total = float(counts[row].sum())
            for column, called in enumerate(runs.classes):
                named = (part.target, part.method, part.network, label, called)
                n = float(counts[row, column])
                records.append((*named, n, *_percent(n, total)))
    names = ["class", "called", "patients", "percent", "percent_low", "percent_high"]
    return pd.DataFrame(records, columns=[*KEY, *names])


def _percent(n: float, of: float) -> tuple[float, float, float]:
    """Per cent, with Clopper and Pearson's 95 % interval; means over seeds need not be whole."""
    if not of:
        return float("nan"), float("nan"), float("nan")
    low = beta.ppf(0.025, n, of - n + 1) if n > 0 else 0.0
    high = beta.ppf(0.975, n + 1, of - n) if n < of else 1.0
    return 100 * n / of, 100 * float(low), 100 * float(high)


def confusion_matrix(rows: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """The matrix [C, C] (class, called) of one part's rows, and the classes."""
    classes = [str(name) for name in rows["class"].unique()]
    wide = rows.pivot_table(index="class", columns="called", values="patients", aggfunc="first")
    return wide.loc[classes, classes].to_numpy(), classes


def confusion_table(rows: pd.DataFrame) -> Table:
    """The confusion matrices of one target: a row a method and class, a column a class called."""
    classes = [str(name) for name in rows["class"].unique()]
    sections = []
    for network in NETWORKS:
        own = rows[rows["network"] == network]
        lines = []
        for (method, label), of_class in own.groupby(["method", "class"], sort=False):
            by_call = {row["called"]: row for row in of_class.to_dict("records")}
            cells = [_share(by_call[name]) for name in classes]
            lines.append(tuple(Cell(text) for text in (str(method), str(label), *cells)))
        if lines:
            sections.append(Section(INPUTS[network], tuple(lines)))
    return Table(("Method", "Class", *(f"called {name}" for name in classes)), tuple(sections))


def patients_text(patients: float) -> str:
    """A mean number of patients over seeds, without a decimal where it is whole."""
    return f"{patients:.0f}" if patients == round(patients) else f"{patients:.1f}"


def _share(row: Mapping[Hashable, Any]) -> str:
    if math.isnan(row["percent"]):
        return EMPTY
    reach = f"{row['percent_low']:.0f}–{row['percent_high']:.0f}"
    return f"{patients_text(row['patients'])} ({row['percent']:.0f} %) [{reach}]"
