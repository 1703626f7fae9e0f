"""Figures of the cohort: classes by site, sizes of bags."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from histodistill.report.plots import FAINT, FONT, INK, PALETTE, decorate

UNKNOWN = "unknown"
_HATCHES = ("", "////", "....", "xxxx", "----", "\\\\\\\\")


def sites_figure(counts: pd.DataFrame, title: str) -> Figure:
    """Stacked bars of patients, a bar a site; classes differ in colour and in hatching.

    Args:
        counts: Sites x classes.
        title: Drawn above.
    """
    figure = Figure(
        figsize=(max(3.6, 0.27 * len(counts) + 1.4), 2.6), layout="constrained", facecolor="white"
    )
    ax = figure.subplots()
    decorate(ax)
    bottom = np.zeros(len(counts))
    known = [name for name in counts.columns if name != UNKNOWN]
    for place, name in enumerate([*known, *(c for c in counts.columns if c == UNKNOWN)]):
        height = counts[name].to_numpy(dtype=np.float64)
        ax.bar(
            [str(site) for site in counts.index],
            height,
            bottom=bottom,
            label=str(name),
            color=FAINT if name == UNKNOWN else PALETTE[place % len(PALETTE)],
            hatch="" if name == UNKNOWN else _HATCHES[place % len(_HATCHES)],
            edgecolor="white",
            linewidth=0.4,
        )
        bottom += height
    ax.set_title(title, fontsize=FONT + 1, color=INK)
    ax.set_ylabel("Patients", fontsize=FONT)
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.tick_params(axis="x", rotation=90)
    ax.grid(visible=False, axis="x")
    ax.legend(fontsize=FONT - 1, frameon=False)
    return figure


def bags_figure(patients: pd.DataFrame) -> Figure:
    """Histograms of ``patches`` (logarithmic) and ``slides`` of patients."""
    figure = Figure(figsize=(6.8, 2.3), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2)
    patches = patients["patches"].to_numpy(dtype=np.float64)
    low, high = patches.min(), patches.max()
    edges = np.geomspace(max(low, 1), max(high, low + 1), 25)
    left.hist(patches, bins=edges.tolist(), color=PALETTE[0])
    left.set_xscale("log")
    # The default formatter writes formulas.
    left.xaxis.set_major_formatter(LogFormatter())
    left.xaxis.set_minor_formatter(LogFormatter())
    left.set_xlabel("Patches", fontsize=FONT)
    slides = patients["slides"].value_counts().sort_index()
    right.bar([str(n) for n in slides.index], slides.to_numpy(), color=PALETTE[0])
    right.set_xlabel("Slides", fontsize=FONT)
    for ax in (left, right):
        decorate(ax)
        ax.set_ylabel("Patients", fontsize=FONT)
        ax.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    return figure
