"""Figures: ROC, precision-recall, calibration, and training curves.

Drawn with matplotlib's objects, without pyplot's global state. The same data give the same bytes
under the same matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, MultipleLocator

from histodistill.evaluation import (
    Runs,
    auc_of,
    precision_recall_curve,
    reliability_curve,
    roc_curve,
)
from histodistill.evaluation.answers import FloatArray
from histodistill.evaluation.metrics import CALIBRATION_BINS
from histodistill.files import whole_file

Panels = Mapping[str, Mapping[str, Runs]]
"""Panel title -> curve name -> runs. A name has the same colour in every panel."""

# Okabe and Ito's palette, told apart in every common form of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (5, 1, 1.5, 1)))
INK = "#333333"
FAINT = "#B0B0B0"
PANEL_INCHES = 3.4
FONT = 8
DPI = 200
# Of a curve; more cannot be seen, and would make the page of a large cohort too heavy.
MOST_POINTS = 400
# Names that a panel has room for; a line of a legend under it takes so many panels' height.
MOST_INSIDE, LEGEND_LINE = 4, 0.045

# Text stays text: it can be read aloud, found and edited, and takes a quarter of the bytes.
_SVG: dict[Any, Any] = {"svg.hashsalt": "histodistill", "svg.fonttype": "none"}

LegendPlace = Literal["lower right", "lower left", "best"]


class CurveStyle(NamedTuple):
    """How a curve looks."""

    color: str
    dashes: str | tuple[float, tuple[float, ...]]


_Draw = Callable[[Axes, Runs, str, CurveStyle], None]


def roc_figure(panels: Panels) -> Figure:
    """ROC curves with 95 % bootstrap bands; the legend tells the AUC and its interval."""
    return _curves(panels, _draw_roc, ("1 − specificity", "Sensitivity"), "lower right")


def precision_recall_figure(panels: Panels) -> Figure:
    """Precision-recall curves; dotted, the precision of a guess."""
    return _curves(panels, _draw_precision_recall, ("Recall", "Precision"), "lower left")


def calibration_figure(panels: Panels) -> Figure:
    """Observed frequency by predicted probability, smoothed, with bands; patients in each tenth."""
    figure = _new(len(panels), 1.35 + _room(panels))
    grid = figure.subplots(
        2, len(panels), squeeze=False, sharex=True, gridspec_kw={"height_ratios": [3.2, 1]}
    )
    styles = _styles(panels)
    for (title, curves), above, below in zip(panels.items(), grid[0], grid[1], strict=True):
        _unit_square(above, title, ("", "Observed frequency"))
        above.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=1)
        for name, runs in _drawable(curves).items():
            _draw_reliability(above, below, runs, name, styles[name])
        decorate(below)
        below.set_xlabel("Predicted probability", fontsize=FONT)
        below.set_ylabel("Patients", fontsize=FONT)
        below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
        _legend(above, "best", below)
    return figure


def training_figure(records: Sequence[Mapping[str, object]], title: str = "") -> Figure:
    """Training curves of one run: the loss and its terms, validation losses, validation AUCs.

    Args:
        records: One an epoch: ``epoch``, ``losses`` and ``validation`` (figures by name, None
            where undefined; names ending in ``_auc`` are AUCs), ``best`` where it was the best.
        title: Drawn above.
    """
    figure = _new(3, 0.85)
    epochs = np.array([record["epoch"] for record in records], dtype=np.float64)
    losses, validation = _series(records, "losses"), _series(records, "validation")
    aucs = {name: values for name, values in validation.items() if name.endswith("_auc")}
    others = {name: values for name, values in validation.items() if name not in aucs}
    best = [epoch for epoch, record in zip(epochs, records, strict=True) if record.get("best")]
    panels = {"Training loss": losses, "Validation loss": others, "Validation AUC": aucs}
    axes = figure.subplots(1, 3, squeeze=False)[0]
    for (heading, curves), ax in zip(panels.items(), axes, strict=True):
        decorate(ax)
        ax.set_title(heading, fontsize=FONT + 1, color=INK)
        ax.set_xlabel("Epoch", fontsize=FONT)
        ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        for place, (name, values) in enumerate(curves.items()):
            label = name.removesuffix("_auc").removesuffix("_loss")
            style = curve_style(place)
            ax.plot(
                epochs,
                values,
                label=label,
                color=style.color,
                linestyle=style.dashes,
                linewidth=1.2,
            )
        if best:
            ax.axvline(best[-1], color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
        _legend(ax, "best")
    if title:
        figure.suptitle(title, fontsize=FONT + 2, color=INK)
    return figure


def write_figure(figure: Figure, folder: Path, stem: str) -> dict[str, Path]:
    """Write ``stem.png`` and ``stem.svg``, whole, without dates or random identifiers.

    Returns:
        The two paths by suffix: ``png``, ``svg``.
    """
    metadata: dict[str, dict[str, str | None]] = {"png": {"Software": None}, "svg": {"Date": None}}
    paths = {suffix: folder / f"{stem}.{suffix}" for suffix in metadata}
    without_formulas(figure)
    # The layout takes as long as the drawing: settle it once for both files. Where any engine is
    # left, even an idle one, each file is drawn twice.
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)
    for suffix, path in paths.items():
        with mpl.rc_context(_SVG), whole_file(path) as temporary:
            figure.savefig(temporary, format=suffix, dpi=DPI, metadata=metadata[suffix])
    return paths


def without_formulas(figure: Figure) -> Figure:
    """The figure, in which a dollar sign begins no formula: names are the user's."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


def _new(columns: int, height: float) -> Figure:
    size = (PANEL_INCHES * max(columns, 1), PANEL_INCHES * height)
    return Figure(figsize=size, layout="constrained", facecolor="white")


def curve_style(place: int) -> CurveStyle:
    """Colour and dashes of the curve in some place of a legend."""
    return CurveStyle(PALETTE[place % len(PALETTE)], DASHES[(place // len(PALETTE)) % len(DASHES)])


def _styles(panels: Panels) -> dict[str, CurveStyle]:
    """A colour for each curve's name, the same in all panels."""
    names = dict.fromkeys(name for curves in panels.values() for name in curves)
    return {name: curve_style(place) for place, name in enumerate(names)}


def _drawable(curves: Mapping[str, Runs]) -> dict[str, Runs]:
    """The curves that exist: two classes, both with patients."""
    return {
        name: runs
        for name, runs in curves.items()
        if runs.binary and len(runs) and not runs.missing_classes()
    }


def _curves(panels: Panels, draw: _Draw, labels: tuple[str, str], legend: LegendPlace) -> Figure:
    figure = _new(len(panels), 1.0 + _room(panels))
    axes = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    styles = _styles(panels)
    for (title, curves), ax in zip(panels.items(), axes, strict=True):
        _unit_square(ax, title, labels)
        for name, runs in _drawable(curves).items():
            draw(ax, runs, name, styles[name])
        _legend(ax, legend)
    return figure


def _draw_roc(ax: Axes, runs: Runs, name: str, style: CurveStyle) -> None:
    curve = roc_curve(runs)
    auc, low, high = auc_of(runs)
    ax.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, zorder=1)
    _band(ax, (curve.grid, curve.low, curve.high), style)
    label = f"{name}: {auc:.3f} [{low:.2f}–{high:.2f}]"
    ax.plot(
        *_drawn(curve.false_positive, curve.true_positive),
        label=label,
        color=style.color,
        linestyle=style.dashes,
        linewidth=1.4,
    )


def _draw_precision_recall(ax: Axes, runs: Runs, name: str, style: CurveStyle) -> None:
    curve = precision_recall_curve(runs)
    precision = _metric(runs, "average_precision")
    ax.axhline(curve.prevalence, color=FAINT, linewidth=0.8, linestyle=":", zorder=0)
    label = f"{name}: AP {precision:.3f}"
    ax.step(
        *_drawn(curve.recall, curve.precision),
        where="pre",
        label=label,
        color=style.color,
        linestyle=style.dashes,
        linewidth=1.4,
    )


def _draw_reliability(above: Axes, below: Axes, runs: Runs, name: str, style: CurveStyle) -> None:
    curve = reliability_curve(runs)
    label = f"{name}: ECE {_metric(runs, 'ece'):.3f}"
    _band(above, (curve.grid, curve.low, curve.high), style)
    above.plot(
        *_drawn(curve.grid, curve.observed),
        label=label,
        color=style.color,
        linestyle=style.dashes,
        linewidth=1.4,
    )
    edges = np.arange(CALIBRATION_BINS + 1) / CALIBRATION_BINS
    below.stairs(curve.counts, edges, color=style.color, linestyle=style.dashes, linewidth=1.2)


def _band(ax: Axes, columns: tuple[FloatArray, FloatArray, FloatArray], style: CurveStyle) -> None:
    """An interval around a curve: places, lower and upper ends."""
    x, low, high = _drawn(*columns)
    ax.fill_between(x, low, high, color=style.color, alpha=0.13, linewidth=0)


def _drawn(*columns: FloatArray) -> tuple[FloatArray, ...]:
    """As many of a curve's points as can be seen, its ends among them."""
    n = len(columns[0])
    if n <= MOST_POINTS:
        return columns
    kept = np.unique(np.linspace(0, n - 1, MOST_POINTS).round().astype(int))
    return tuple(column[kept] for column in columns)


def _metric(runs: Runs, name: str) -> float:
    return float(runs.metrics(np.ones((1, len(runs))))[name][0])


def _unit_square(ax: Axes, title: str, labels: tuple[str, str]) -> None:
    decorate(ax)
    ax.set_title(title, fontsize=FONT + 1, color=INK)
    ax.set_xlabel(labels[0], fontsize=FONT)
    ax.set_ylabel(labels[1], fontsize=FONT)
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.01, 1.01)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MultipleLocator(0.2))


def decorate(ax: Axes) -> None:
    """Give axes the look that all figures share."""
    ax.tick_params(which="both", labelsize=FONT, colors=INK, width=0.6, length=3)
    ax.grid(color="#EDEDED", linewidth=0.6)
    ax.set_axisbelow(True)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_linewidth(0.6)
        spine.set_color(INK)


def _room(panels: Panels) -> float:
    """Height for a legend under the panels, in panels: a line a curve, where they are many."""
    most = max((len(_drawable(curves)) for curves in panels.values()), default=0)
    return 0 if most <= MOST_INSIDE else LEGEND_LINE * (most + 1)


def _legend(ax: Axes, place: LegendPlace, lowest: Axes | None = None) -> None:
    """Tell the curves: inside the panel, or under the lowest axes where they would be covered."""
    curves, names = ax.get_legend_handles_labels()
    small = FONT - 1
    if len(names) > MOST_INSIDE:
        under = lowest or ax
        under.legend(
            curves,
            names,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.22 if lowest is None else -0.7),
            fontsize=small,
            frameon=False,
        )
    elif names:
        ax.legend(loc=place, fontsize=small, frameon=True, framealpha=0.85, edgecolor="none")
    else:
        ax.text(
            *(0.5, 0.5, "nothing to draw"),
            transform=ax.transAxes,
            ha="center",
            fontsize=FONT,
            color=INK,
        )


def _series(records: Sequence[Mapping[str, object]], key: str) -> dict[str, list[float]]:
    """The figures under ``key`` by name, NaN where an epoch has none."""
    found = [figures if isinstance(figures := r.get(key), Mapping) else {} for r in records]
    names = dict.fromkeys(name for figures in found for name in figures)
    return {
        str(name): [float("nan") if f.get(name) is None else float(f[name]) for f in found]
        for name in names
    }
