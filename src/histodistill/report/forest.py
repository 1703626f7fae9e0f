"""The forest plot: the AUC of every method and target with its interval."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from histodistill.evaluation import NETWORKS
from histodistill.report.plots import FAINT, FONT, INK, PALETTE, decorate
from histodistill.report.tables import INPUTS

MARKERS = ("o", "s", "D", "^")
PANEL_INCHES = 2.3
ROW_INCHES = 0.17


def forest_figure(results: pd.DataFrame, references: Mapping[str, str]) -> Figure:
    """A panel a target, a row a method, those that read the same inputs together, best first.

    Dots are pooled AUCs with 95 % intervals, short upright lines the means over fits; a dashed
    line runs through the AUC of the reference of each kind of input.

    Args:
        results: ``Leaderboard.results``.
        references: ``Leaderboard.references``.
    """
    targets = list(results["target"].unique())
    rows = _rows(results)
    size = (1.6 + PANEL_INCHES * len(targets), 0.75 + ROW_INCHES * len(rows))
    figure = Figure(figsize=size, facecolor="white")
    figure.set_layout_engine("constrained", wspace=0.06)
    axes = figure.subplots(1, len(targets), squeeze=False, sharey=True)[0]
    for target, ax in zip(targets, axes, strict=True):
        _draw_target(ax, results[results["target"] == target], rows, references)
        ax.set_title(str(target), fontsize=FONT + 1, color=INK)
    _name_rows(axes[0], rows)
    return figure


def _rows(results: pd.DataFrame) -> list[tuple[str, str]]:
    """Network and method of each row from the top; a method of no name heads its network's."""
    rows: list[tuple[str, str]] = []
    for network in NETWORKS:
        of_network = results[results["network"] == network]
        means = of_network.groupby("method", sort=False)["auc"].mean()
        names = [str(name) for name in means.sort_values(ascending=False, kind="stable").index]
        rows += [(network, name) for name in ["", *names]] if names else []
    return rows


def _draw_target(
    ax: Axes, results: pd.DataFrame, rows: list[tuple[str, str]], references: Mapping[str, str]
) -> None:
    decorate(ax)
    ax.grid(visible=False, axis="y")
    ax.tick_params(axis="y", length=0)
    found = {(row["network"], row["method"]): row for row in results.to_dict("records")}
    for place, (network, method) in enumerate(rows):
        row = found.get((network, method))
        if row is None:
            continue
        kind = list(INPUTS).index(network)
        color = PALETTE[kind]
        ax.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.1)
        ax.plot(row["auc"], place, marker=MARKERS[kind], markersize=3.6, color=color)
        ax.plot(row["fold_auc"], place, marker="|", markersize=6, markeredgewidth=0.9, color=INK)
        if references.get(network) == method:
            places = [i for i, (name, _) in enumerate(rows) if name == network]
            ends = [places[0] + 0.5, places[-1] + 0.5]
            ax.plot([row["auc"]] * 2, ends, color=FAINT, linewidth=0.9, linestyle="--", zorder=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.set_xlabel("AUC", fontsize=FONT)


def _name_rows(ax: Axes, rows: list[tuple[str, str]]) -> None:
    """Name the rows of all panels, the best at the top."""
    ax.set_ylim(len(rows) - 0.4, -0.6)
    names = [method or INPUTS[network] for network, method in rows]
    ax.set_yticks(range(len(rows)), names)
    for label, (_, method) in zip(ax.get_yticklabels(), rows, strict=True):
        if not method:
            label.set_fontstyle("italic")
