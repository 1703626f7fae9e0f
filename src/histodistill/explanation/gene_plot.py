"""A picture of the genes, and of the sets of genes, that drive a network."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from histodistill.explanation.gene_ranking import GeneRanking

# Blue and red as in the maps of patches: against the class, and for it.
_AGAINST, _TOWARDS, _NEUTRAL = "#2166ac", "#b2182b", "#8c8c8c"
_INK = "#333333"
SHOWN = 20
# Letters of a line that fit above a panel.
_LINE = 70


def gene_figure(ranking: GeneRanking, title: str) -> Figure:
    """The strongest genes, with the least and the most of any part; and the strongest sets.

    Args:
        ranking: The genes of a network.
        title: Stands above.
    """
    panels = 2 if len(ranking.sets) else 1
    figure = Figure(figsize=(5.2 * panels, 6.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, panels))
    lines = (title, subtitle(ranking), "Research use only")
    told = "\n".join(textwrap.fill(line, _LINE * panels) for line in lines)
    figure.suptitle(told, fontsize=9, color=_INK)
    _genes(axes[0], ranking)
    if panels == 2:
        _sets(axes[1], ranking)
    return figure


def subtitle(ranking: GeneRanking) -> str:
    """How the shares were found, and how stable they are."""
    known = [f"{index:.2f} (top {k})" for k, index in ranking.stability.items() if index == index]
    stable = f"; Kuncheva's index over {ranking.n_parts} {ranking.parts} {', '.join(known)}"
    gap = (
        "" if ranking.way == "exact" else f", which miss the log odds by {ranking.gap:.1%} at most"
    )
    return f"{ranking.n_patients} patients; shares: {ranking.way}{gap}{stable if known else ''}"


def _genes(axes: Axes, ranking: GeneRanking) -> None:
    top = ranking.genes.head(SHOWN).iloc[::-1]
    rows = np.arange(len(top))
    colours = [_TOWARDS if slope > 0 else _AGAINST for slope in top["per_sd"]]
    axes.barh(rows, top["share"] * 100, color=colours, height=0.7)
    low, high = top["share_low"] * 100, top["share_high"] * 100
    axes.hlines(rows, low, high, color=_INK, linewidth=0.9)
    labels = [_gene_label(row) for _, row in top.iterrows()]
    axes.set_yticks(rows, labels, fontsize=8)
    axes.set_xlabel(
        f"share of all genes, % (line: least and most of any of the {ranking.parts})\n"
        "red: high expression speaks for the class; blue: against it",
        fontsize=8,
    )
    _plain(axes)


def _gene_label(row: object) -> str:
    gene, p = str(row["gene"]), getattr(row, "p_family", None)  # type: ignore[index]
    return f"{gene} *" if p is not None and p < 0.05 else gene


def _sets(axes: Axes, ranking: GeneRanking) -> None:
    top = ranking.sets.head(SHOWN).iloc[::-1]
    rows = np.arange(len(top))
    colours = [_TOWARDS if q < 0.05 else _NEUTRAL for q in top["q_genes"]]
    axes.barh(rows, top["log_odds"], color=colours, height=0.7)
    labels = [f"{name[:34]} ({n})" for name, n in zip(top["set"], top["genes"], strict=True)]
    axes.set_yticks(rows, labels, fontsize=8)
    axes.set_xlabel(
        "mean size of the set's share, log odds\n"
        "red: more than random sets of as many genes, q < .05",
        fontsize=8,
    )
    _plain(axes)


def _plain(axes: Axes) -> None:
    first, last = axes.get_ylim()
    axes.set_ylim(min(first, last - SHOWN / 2), last)  # few bars are no thicker than many
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=_INK, labelsize=8)
