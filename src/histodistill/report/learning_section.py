"""Learning curves on the page: a figure, and how many labels each method needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from histodistill.evaluation import NETWORKS
from histodistill.evaluation.learning import LabelledPart, LearningCurves, learning_curves
from histodistill.report.html import Picture, picture
from histodistill.report.plots import (
    FAINT,
    FONT,
    INK,
    PANEL_INCHES,
    CurveStyle,
    curve_style,
    decorate,
    write_figure,
)
from histodistill.report.tables import INPUTS, Cell, Section, Table, estimate_text, number
from histodistill.spreadsheets import write_csv

# Of the number of patients: where the intervals of the next method stand, to be told apart.
_BESIDE = 1.025
# Inches for the legend below the panels.
_BELOW = 0.35


@dataclass(frozen=True)
class LearningSection:
    """Learning curves of a target.

    Attributes:
        picture: AUC by number of labels.
        points: The same as a table.
        needed: Labels that each method needs; None without a reference.
        reference: Whose AUC is to be reached, in words.
    """

    picture: Picture
    points: Table
    needed: Table | None
    reference: str


def learning_sections(
    folder: Path,
    labelled: Sequence[LabelledPart],
    reference: str | None,
    drawn: Sequence[str],
    stems: dict[str, str],
) -> dict[str, LearningSection]:
    """Draw and tabulate the learning curves of every target, and write figures and tables.

    Args:
        folder: The report's.
        labelled: As ``learning_curves`` takes them; empty where none were made.
        reference: The contender whose AUC is to be reached.
        drawn: Methods of the figures.
        stems: Each target as part of a file's name.
    """
    if not labelled:
        return {}
    curves = learning_curves(labelled, reference)
    return {
        target: _section(folder, stem, _of_target(curves, target), drawn)
        for target, stem in stems.items()
        if (curves.points["target"] == target).any()
    }


def _of_target(curves: LearningCurves, target: str) -> LearningCurves:
    points, needed = curves.points, curves.needed
    return LearningCurves(points[points["target"] == target], needed[needed["target"] == target])


def _section(
    folder: Path, stem: str, curves: LearningCurves, drawn: Sequence[str]
) -> LearningSection:
    points, needed = f"tables/learning-{stem}.csv", f"tables/labels-needed-{stem}.csv"
    write_csv(folder / points, curves.points)
    table, reference = None, ""
    if len(curves.needed):
        write_csv(folder / needed, curves.needed)
        table, reference = _needed_table(curves.needed, needed), _words(curves.needed)
    paths = write_figure(_figure(curves, drawn), folder / "figures", f"learning-{stem}")
    dashed = f"; dashed, {reference} with all of them" if reference else ""
    caption = (
        "Pooled AUC by the number of labelled patients of training and validation, the mean over "
        f"folds, with 95 % intervals{dashed}."
    )
    return LearningSection(
        picture(paths, caption), _points_table(curves.points, points), table, reference
    )


def _words(needed: pd.DataFrame) -> str:
    """The reference in words."""
    method, _, network = str(needed["reference"].iloc[0]).rpartition(" ")
    return f"{method} ({INPUTS[network].lower()})"


def _points_table(points: pd.DataFrame, source: str) -> Table:
    """A row a method, a column a number of labels."""
    numbers = sorted(points["labelled"].unique())
    sections = []
    for network in NETWORKS:
        own = points[points["network"] == network]
        rows = [
            _row(str(method), each, numbers) for method, each in own.groupby("method", sort=False)
        ]
        if rows:
            sections.append(Section(INPUTS[network], tuple(rows)))
    header = ("Method", *(f"{n:.0f} labels" for n in numbers))
    return Table(header, tuple(sections), source)


def _row(method: str, points: pd.DataFrame, numbers: Sequence[float]) -> tuple[Cell, ...]:
    known = {row["labelled"]: row for row in points.to_dict("records")}
    texts = []
    for n in numbers:
        row = known.get(n)
        ends = row and {"estimate": row["auc"], "low": row["low"], "high": row["high"]}
        texts.append(estimate_text(ends) if ends else "not trained")
    return tuple(Cell(text) for text in (method, *texts))


def _needed_table(needed: pd.DataFrame, source: str) -> Table:
    sections = []
    for network in NETWORKS:
        own = needed[needed["network"] == network]
        rows = tuple(
            tuple(
                Cell(text)
                for text in (
                    str(row["method"]),
                    _labels(row["needed"], row["fewest_labels"]),
                    f"{_labels(row['needed_low'])} to {_labels(row['needed_high'])}",
                    number(row["all_labels"], 0),
                )
            )
            for row in own.to_dict("records")
        )
        if rows:
            sections.append(Section(INPUTS[network], rows))
    header = ("Method", "Labelled patients needed", "95 % interval", "Of")
    return Table(header, tuple(sections), source)


def _labels(n: float, fewest: float = 0) -> str:
    if np.isinf(n):
        return "not reached"
    return f"{n:.0f} or fewer" if n <= fewest else f"{n:.0f}"


def _figure(curves: LearningCurves, drawn: Sequence[str]) -> Figure:
    """A panel for each kind of input, in it a curve for each method."""
    shown = curves.points[curves.points["method"].isin(drawn)]
    networks = [name for name in NETWORKS if (shown["network"] == name).any()]
    figure = Figure(
        figsize=(PANEL_INCHES * len(networks), PANEL_INCHES + _BELOW),
        layout="constrained",
        facecolor="white",
    )
    # As in the curves of the same target: by kind of input, then in the order of the table.
    ordered = pd.concat([shown[shown["network"] == name] for name in networks])["method"].unique()
    styles = {name: curve_style(k) for k, name in enumerate(ordered)}
    panels = figure.subplots(1, len(networks), squeeze=False, sharey=True)[0]
    for ax, network in zip(panels, networks, strict=True):
        decorate(ax)
        ax.set_title(INPUTS[network], fontsize=FONT + 1, color=INK)
        here = shown[shown["network"] == network]
        for place, (method, own) in enumerate(here.groupby("method", sort=False)):
            _draw(ax, str(method), own, styles[method], _BESIDE**place)
        if len(curves.needed):
            ax.axhline(
                curves.needed["reference_auc"].iloc[0], color=FAINT, linestyle=(0, (4, 2)), zorder=0
            )
        _label_axes(ax, sorted(shown["labelled"].unique()))
    panels[0].set_ylabel("AUC", fontsize=FONT)
    return figure


def _draw(ax: Axes, method: str, own: pd.DataFrame, style: CurveStyle, beside: float) -> None:
    ax.errorbar(
        own["labelled"] * beside,
        own["auc"],
        yerr=[own["auc"] - own["low"], own["high"] - own["auc"]],
        color=style.color,
        linestyle=style.dashes,
        marker="o",
        markersize=3.5,
        linewidth=1.3,
        elinewidth=0.7,
        capsize=2,
        label=method,
    )


def _label_axes(ax: Axes, numbers: Sequence[float]) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(list(numbers)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("Labelled patients", fontsize=FONT)
    # Below: intervals are long, and a legend inside would lie on one.
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.2), fontsize=FONT - 1, frameon=False, ncols=2
    )
