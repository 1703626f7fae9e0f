"""Figures of utility: the decision curve, and triage at a stated risk."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from histodistill.evaluation import DecisionCurve
from histodistill.report.plots import FAINT, FONT, curve_style, decorate

MISSED = "positive patients called negative"
ALARMS = "negative patients called positive"
SPARED = "spared the test"


def decision_figure(curves: Mapping[str, DecisionCurve]) -> Figure:
    """Net benefit by threshold; the first with its band, treating all and nobody in grey."""
    figure = Figure(figsize=(5.6, 3.3), layout="constrained", facecolor="white")
    ax = figure.subplots()
    decorate(ax)
    for place, (name, curve) in enumerate(curves.items()):
        style = curve_style(place)
        if place == 0:
            ax.fill_between(
                curve.thresholds, curve.low, curve.high, color=style.color, alpha=0.15, linewidth=0
            )
        ax.plot(
            curve.thresholds,
            curve.net_benefit,
            color=style.color,
            linestyle=style.dashes,
            linewidth=1.6 if place == 0 else 1.0,
            label=name,
        )
    first = next(iter(curves.values()))
    ax.plot(first.thresholds, first.treat_all, color=FAINT, linewidth=1, label="treating all")
    ax.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (4, 2)), label="treating nobody")
    top = max(float(np.max(curve.high)) for curve in curves.values())
    ax.set_ylim(-0.15 * max(top, 0.05), 1.1 * max(top, 0.05))
    ax.set_xlim(0, 1)
    ax.set_xlabel("Threshold of the probability", fontsize=FONT)
    ax.set_ylabel("Net benefit", fontsize=FONT)
    ax.legend(fontsize=FONT - 1, frameon=True, framealpha=0.85, edgecolor="none")
    return figure


def triage_figure(table: pd.DataFrame) -> Figure:
    """Share spared (left) and realised risks (right) by stated risk, with exact intervals.

    Args:
        table: Rows of ``OutOfFoldTriage.summary`` with ``stated_risk``.
    """
    figure = Figure(figsize=(6.8, 2.9), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    _drawn(left, table, {SPARED: "spared the test"})
    left.set_ylim(0, 1)
    left.set_ylabel("Share of patients", fontsize=FONT)
    _drawn(right, table, {MISSED: "positive missed", ALARMS: "false alarms"})
    risks = np.sort(table["stated_risk"].unique())
    right.plot(risks, risks, color=FAINT, linestyle=":", linewidth=1.2)
    right.set_ylim(bottom=0)
    right.set_ylabel("Realised share of the class", fontsize=FONT)
    for ax in (left, right):
        decorate(ax)
        ax.set_xlabel("Stated risk", fontsize=FONT)
        ax.set_xlim(0, 1.1 * float(risks[-1]))
        ax.legend(fontsize=FONT - 1, frameon=False)
    return figure


def _drawn(ax: object, table: pd.DataFrame, figures: Mapping[str, str]) -> None:
    for place, (figure, label) in enumerate(figures.items()):
        own = table[table["figure"] == figure].sort_values("stated_risk")
        style = curve_style(place)
        reach = [own["value"] - own["low"], own["high"] - own["value"]]
        ax.errorbar(  # type: ignore[attr-defined]
            own["stated_risk"] * (1 + 0.02 * place),
            own["value"],
            yerr=reach,
            color=style.color,
            linestyle=style.dashes,
            marker="os"[place % 2],
            markersize=3.5,
            linewidth=1.3,
            elinewidth=0.8,
            capsize=2,
            label=label,
        )
