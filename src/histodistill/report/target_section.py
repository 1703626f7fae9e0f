"""What a report tells of one target: its curves, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from histodistill.evaluation import (
    METRICS,
    Runs,
    as_calibrated,
    calibration_figures,
    metric_label,
    networks_in,
    runs_of,
    target_classes,
    without_classes,
)
from histodistill.report.calibration_table import calibration_table
from histodistill.report.class_tables import (
    class_figures,
    class_table,
    confusion_matrix,
    confusion_table,
    confusions,
    order_table,
)
from histodistill.report.confusion import confusion_figure
from histodistill.report.depth.section import Asked, DepthSection, depth_section
from histodistill.report.html import Picture, picture
from histodistill.report.learning_section import LearningSection
from histodistill.report.plots import (
    Panels,
    calibration_figure,
    precision_recall_figure,
    roc_figure,
    write_figure,
)
from histodistill.report.tables import INPUTS, Table, metrics_table, write_table
from histodistill.spreadsheets import write_csv

_DRAWN: Mapping[str, tuple[Callable[[Panels], Figure], str]] = {
    "roc": (
        roc_figure,
        "ROC curves with 95 % bootstrap bands; AUC with its 95 % score interval; of several "
        "seeds, the mean.",
    ),
    "precision-recall": (
        precision_recall_figure,
        "Precision-recall curves and average precision; dotted, the share of positive patients; "
        "of several seeds, the mean.",
    ),
    "calibration": (
        calibration_figure,
        "Reliability: observed frequency by predicted probability, smoothed (local lines, "
        "Gaussian weights), with 95 % bootstrap bands; below, patients in each tenth.",
    ),
}


@dataclass(frozen=True)
class TargetSection:
    """One target on the page.

    Attributes:
        name: The target.
        pictures: Its curves.
        pooled: All metrics with intervals.
        folds: All metrics over folds; None where nothing is of folds.
        calibration: Slopes and intercepts; None beyond two classes.
        classes: Each class's own figures; None for two classes.
        order: What ordered classes are judged by besides; None for others.
        confusion: Who was called what; None without calls.
        matrices: Pictures of the same.
        averages: What the figures of more than two classes average, in a sentence.
        depth: One method in depth; None where nobody with a label is answered.
        learning: Learning curves; None where none were made.
    """

    name: str
    pictures: tuple[Picture, ...]
    pooled: Table
    folds: Table | None
    calibration: Table | None
    classes: Table | None
    order: Table | None
    confusion: Table | None
    matrices: tuple[Picture, ...]
    averages: str
    depth: DepthSection | None
    learning: LearningSection | None = None


def target_section(
    folder: Path,
    name: str,
    rows: pd.DataFrame,
    summary: pd.DataFrame,
    asked: Asked,
    *,
    drawn: Sequence[str],
    external: bool,
) -> TargetSection:
    """Draw and tabulate one target, and write its figures and tables.

    Args:
        folder: The report's.
        name: The target.
        rows: The target's rows of a checked predictions table.
        summary: ``EvaluationTables.summary``.
        asked: What is looked at in depth.
        drawn: Methods of the figures.
        external: Whether one model predicted all patients, so that nothing is of folds.
    """
    stem, tables = file_stem(name), folder / "tables"
    own = summary[summary["target"] == name]
    pooled = metrics_table(own, name, "external" if external else "pooled")
    write_table(
        pooled, tables, f"metrics-{stem}", f"{name}{'' if external else ', pooled over folds'}."
    )
    folds = None
    if not external:
        folds = metrics_table(own, name, "folds")
        write_table(folds, tables, f"folds-{stem}", f"{name}, mean and sd over folds.")
    classes = target_classes(rows)
    few = rows[rows["method"].isin(drawn)]
    return TargetSection(
        name,
        tuple(_curves(folder, stem, few, classes)),
        replace(pooled, source="tables/summary.csv"),
        folds and replace(folds, source="tables/summary.csv"),
        _calibration(tables, stem, rows, classes),
        _classes(tables, stem, rows, own),
        _order(tables, stem, own),
        _confusion(tables, stem, rows),
        tuple(_matrices(folder, stem, few)),
        "" if len(classes) == 2 else _averages(own["metric"], classes),
        depth_section(folder, stem, name, few, asked),
    )


def file_stem(name: str) -> str:
    """A name as part of a file's name."""
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name)


def _averages(metrics: Sequence[str] | pd.Series[str], classes: tuple[str, ...]) -> str:
    """What the figures of more than two classes are."""
    averaged = [metric_label(n) for n in without_classes(metrics) if METRICS.facts(n).against_rest]
    return (
        f"{', '.join(averaged)} are unweighted means over the {len(classes)} classes "
        f"({', '.join(classes)}), each against the rest; a patient is called the most probable "
        "class."
    )


def _curves(folder: Path, stem: str, rows: pd.DataFrame, classes: tuple[str, ...]) -> list[Picture]:
    """The curves of two classes; of more, those of each class against the rest."""
    if len(classes) == 2:
        return [*_drawn(folder, stem, "", _by_inputs(rows, classes)), *_after(folder, stem, rows)]
    return [
        drawn
        for network in networks_in(rows)
        for drawn in _drawn(
            folder,
            f"{stem}-{network}",
            f"{INPUTS[network]}, each class against the rest. ",
            _by_class(rows, network, classes),
        )
    ]


def _drawn(folder: Path, stem: str, of_what: str, panels: Panels) -> list[Picture]:
    figures = folder / "figures"
    return [
        picture(write_figure(draw(panels), figures, f"{kind}-{stem}"), of_what + caption)
        for kind, (draw, caption) in _DRAWN.items()
    ]


def _after(folder: Path, stem: str, rows: pd.DataFrame) -> list[Picture]:
    """Reliability after calibration, where the predictions hold calibrated probabilities."""
    calibrated = as_calibrated(rows)
    if not networks_in(calibrated):
        return []
    draw, caption = _DRAWN["calibration"]
    figure = draw(_by_inputs(calibrated, target_classes(rows)))
    paths = write_figure(figure, folder / "figures", f"calibration-after-{stem}")
    return [picture(paths, f"After calibration on validation patients. {caption}")]


def _by_inputs(rows: pd.DataFrame, classes: tuple[str, ...]) -> Panels:
    """A panel for each kind of input, in it a curve for each method."""
    panels: dict[str, dict[str, Runs]] = {INPUTS[network]: {} for network in networks_in(rows)}
    for method, of_method in rows.groupby("method", sort=False):
        for network in networks_in(of_method):
            panels[INPUTS[network]][str(method)] = runs_of(of_method, network, classes)
    return panels


def _by_class(rows: pd.DataFrame, network: str, classes: tuple[str, ...]) -> Panels:
    """A panel for each class against the rest, in it a curve for each method."""
    runs = {
        str(method): runs_of(own, network, classes)
        for method, own in rows.groupby("method", sort=False)
        if network in networks_in(own)
    }
    return {
        label: {method: of_method.against_rest(k) for method, of_method in runs.items()}
        for k, label in enumerate(classes)
    }


def _matrices(folder: Path, stem: str, rows: pd.DataFrame) -> list[Picture]:
    """The confusion matrices, a figure for each kind of input."""
    drawn = []
    for network, own in confusions(rows).groupby("network", sort=False):
        matrices = {
            str(method): confusion_matrix(part)
            for method, part in own.groupby("method", sort=False)
        }
        classes = next(iter(matrices.values()))[1]
        figure = confusion_figure({name: counts for name, (counts, _) in matrices.items()}, classes)
        paths = write_figure(figure, folder / "figures", f"confusion-{stem}-{network}")
        caption = (
            f"{INPUTS[str(network)]}: patients by class and class called; of several seeds, "
            "the mean; per cent of the class."
        )
        drawn.append(picture(paths, caption))
    return drawn


def _calibration(
    tables: Path, stem: str, rows: pd.DataFrame, classes: tuple[str, ...]
) -> Table | None:
    figures = calibration_figures(rows)
    write_csv(tables / f"calibration-{stem}.csv", figures)
    if len(classes) != 2:
        return None
    table = calibration_table(figures)
    table = replace(table, source=f"tables/calibration-{stem}.csv")
    write_table(table, tables, f"calibration-{stem}", "Calibration, before and after.")
    return table


def _classes(tables: Path, stem: str, rows: pd.DataFrame, summary: pd.DataFrame) -> Table | None:
    figures = class_figures(rows, summary)
    if figures.empty:
        return None
    write_csv(tables / f"classes-{stem}.csv", figures)
    table = class_table(figures)
    table = replace(table, source=f"tables/classes-{stem}.csv")
    write_table(table, tables, f"classes-{stem}", "Each class against the rest.")
    return table


def _order(tables: Path, stem: str, summary: pd.DataFrame) -> Table | None:
    table = order_table(summary)
    if table is None:
        return None
    table = replace(table, source="tables/summary.csv")
    write_table(table, tables, f"order-{stem}", "Ordered classes: calls by distance, and cuts.")
    return table


def _confusion(tables: Path, stem: str, rows: pd.DataFrame) -> Table | None:
    counts = confusions(rows)
    if counts.empty:
        return None
    write_csv(tables / f"confusion-{stem}.csv", counts)
    table = confusion_table(counts)
    table = replace(table, source=f"tables/confusion-{stem}.csv")
    write_table(table, tables, f"confusion-{stem}", "Patients by class and class called.")
    return table
