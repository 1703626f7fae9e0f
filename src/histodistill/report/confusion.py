"""The picture of confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from histodistill.evaluation.answers import FloatArray
from histodistill.report.class_tables import patients_text
from histodistill.report.plots import FONT, INK

PER_ROW = 4
CELL_INCHES = 0.62
# Beside a matrix: the classes' names and the axis' label.
MARGIN_INCHES = 1.15


def confusion_figure(matrices: Mapping[str, FloatArray], classes: list[str]) -> Figure:
    """A matrix for each name: patients by class (rows) and class called (columns).

    The shade is the share of the row, the same scale in all.

    Args:
        matrices: [C, C] patients by name.
        classes: The C class names.
    """
    columns = min(PER_ROW, len(matrices))
    rows = -(-len(matrices) // columns)
    side = CELL_INCHES * len(classes)
    width = max(columns * (side + MARGIN_INCHES), 3.0)
    size = (width, rows * (side + MARGIN_INCHES))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for (name, counts), ax in zip(matrices.items(), axes, strict=False):
        _draw(ax, counts, classes)
        ax.set_title(name, fontsize=FONT + 1, color=INK)
    for ax in axes[len(matrices) :]:
        ax.set_visible(False)
    return figure


def _draw(ax: Axes, counts: FloatArray, classes: list[str]) -> None:
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        share = shares[row, column]
        text = f"{patients_text(float(counts[row, column]))}\n{100 * share:.0f} %"
        color = "white" if share > 0.55 else INK
        ax.text(column, row, text, ha="center", va="center", fontsize=FONT - 1, color=color)
    places = range(len(classes))
    turned = 30 if max(len(name) for name in classes) > 6 else 0
    ax.set_xticks(places, classes, fontsize=FONT, rotation=turned)
    ax.set_yticks(places, classes, fontsize=FONT)
    ax.set_xlabel("Called", fontsize=FONT, color=INK)
    ax.set_ylabel("Class", fontsize=FONT, color=INK)
    ax.tick_params(length=0, colors=INK)
    for spine in ax.spines.values():
        spine.set_visible(False)
