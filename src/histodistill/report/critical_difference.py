"""The critical-difference diagram: mean ranks on a line, bars over methods that do not differ.

J. Demšar, "Statistical comparisons of classifiers over multiple data sets", Journal of Machine
Learning Research 7 (2006) 1-30, figure 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from histodistill.evaluation import Ranking
from histodistill.report.plots import FONT, INK, PALETTE

# Inches.
AXIS = 4.2
MARGIN = 0.15
GAP = 0.08
LINE = 0.18
BAR = 0.085
ABOVE = 0.72


@dataclass(frozen=True)
class _Layout:
    """Where things are, in inches from the lower left corner."""

    width: float
    height: float
    left: float
    axis: float
    labels: float
    scale: float

    def x(self, rank: float) -> float:
        return self.left + (rank - 1) * self.scale


def critical_difference_figure(ranking: Ranking) -> Figure:
    """Draw the mean ranks of two or more methods, the best on the left.

    A bar joins methods whose mean ranks differ by less than the critical difference, which is
    drawn above the axis.

    Args:
        ranking: With two or more methods and datasets.
    """
    texts = [f"{name}  {rank:.2f}" for name, rank in ranking.mean_ranks.items()]
    levels = bar_levels(ranking)
    layout = _layout(ranking, texts, 1 + max(levels, default=-1))
    figure = Figure(figsize=(layout.width, layout.height), facecolor="white")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, layout.width)
    ax.set_ylim(0, layout.height)
    _draw_axis(ax, layout, len(texts))
    _draw_reach(ax, layout, ranking.critical_difference)
    for group, level in zip(ranking.groups, levels, strict=True):
        ends = ranking.mean_ranks[group[0]], ranking.mean_ranks[group[-1]]
        _draw_bar(ax, layout, ends, level)
    _draw_methods(ax, layout, ranking.mean_ranks.to_list(), texts)
    return figure


def bar_levels(ranking: Ranking) -> list[int]:
    """The level below the axis of each group's bar, so that no two bars of a level touch."""
    apart = 0.02 * len(ranking.mean_ranks)
    ends: list[float] = []
    levels = []
    for group in ranking.groups:
        start = ranking.mean_ranks[group[0]] - apart
        level = next((i for i, end in enumerate(ends) if end < start), len(ends))
        ends[level : level + 1] = [ranking.mean_ranks[group[-1]] + apart]
        levels.append(level)
    return levels


def _layout(ranking: Ranking, texts: Sequence[str], n_levels: int) -> _Layout:
    half = math.ceil(len(texts) / 2)
    left, right = (max(map(_inches, side)) for side in (texts[:half], texts[half:]))
    scale = AXIS / (len(texts) - 1)
    reach = max(AXIS, ranking.critical_difference * scale)
    start = MARGIN + left + 2 * GAP
    below = (n_levels + 1) * BAR + LINE / 2
    height = ABOVE + below + half * LINE + MARGIN
    return _Layout(
        width=start + max(AXIS + 2 * GAP + right, reach) + MARGIN,
        height=height,
        left=start,
        axis=height - ABOVE,
        labels=height - ABOVE - below,
        scale=scale,
    )


def _draw_axis(ax: Axes, layout: _Layout, n_methods: int) -> None:
    y = layout.axis
    ax.plot([layout.x(1), layout.x(n_methods)], [y, y], color=INK, linewidth=0.8)
    step = 1 if n_methods <= 12 else 5
    for rank in range(1, n_methods + 1):
        named = rank == 1 or rank % step == 0
        x = layout.x(rank)
        ax.plot([x, x], [y, y + (0.06 if named else 0.03)], color=INK, linewidth=0.6)
        if named:
            ax.text(x, y + 0.08, str(rank), ha="center", va="bottom", fontsize=FONT, color=INK)


def _draw_reach(ax: Axes, layout: _Layout, reach: float) -> None:
    """The critical difference as a length above the axis."""
    start, end, y = layout.x(1), layout.x(1 + reach), layout.axis + 0.38
    ax.plot([start, end], [y, y], color=PALETTE[1], linewidth=1.2)
    for x in (start, end):
        ax.plot([x, x], [y - 0.035, y + 0.035], color=PALETTE[1], linewidth=1.2)
    text = f"critical difference {reach:.2f}"
    ax.text(start, y + 0.06, text, ha="left", va="bottom", fontsize=FONT, color=INK)


def _draw_bar(ax: Axes, layout: _Layout, ends: tuple[float, float], level: int) -> None:
    y = layout.axis - (level + 1) * BAR
    x = [layout.x(ends[0]) - 0.03, layout.x(ends[1]) + 0.03]
    ax.plot(x, [y, y], color=PALETTE[0], linewidth=2.6, solid_capstyle="butt", zorder=3)


def _draw_methods(ax: Axes, layout: _Layout, ranks: Sequence[float], texts: Sequence[str]) -> None:
    """Lines from the axis to the names: the better half on the left, the others on the right."""
    half = math.ceil(len(texts) / 2)
    for place, (rank, text) in enumerate(zip(ranks, texts, strict=True)):
        on_left = place < half
        # Half a line apart, so that no line on the left seems to go on to the right.
        row = place if on_left else len(texts) - place - 0.5
        x, y = layout.x(rank), layout.labels - row * LINE
        side = layout.left - GAP if on_left else layout.left + AXIS + GAP
        ax.plot([x, x, side], [layout.axis, y, y], color=INK, linewidth=0.6, zorder=2)
        x = side - GAP / 2 if on_left else side + GAP / 2
        label = ax.text(x, y, text, va="center", fontsize=FONT, color=INK)
        label.set_horizontalalignment("right" if on_left else "left")


def _inches(text: str) -> float:
    """The width of a text as it is drawn; a dollar sign in it starts no formula."""
    return float(TextPath((0, 0), text.replace("$", "S"), size=FONT).get_extents().width) / 72
