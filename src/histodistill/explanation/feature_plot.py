"""Pictures of feature spaces: how alike, what they tell, and where patients lie in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart in every common form of colour blindness.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C8C8C")
_INK = "#333333"


def feature_figure(similarity: pd.DataFrame, probes: pd.DataFrame) -> Figure:
    """Similarity of the networks' features, and what linear probes read off them.

    Args:
        similarity: See :attr:`FeaturesExplained.similarity`.
        probes: See :attr:`FeaturesExplained.probes`.
    """
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.9])
    _matrix(left, similarity)
    _table(right, probes)
    figure.suptitle("Features of the networks, on test patients. Research use only", fontsize=9)
    return figure


def patient_figure(places: pd.DataFrame) -> Figure:
    """Patients on the first two principal components of each network's features.

    Args:
        places: See :attr:`FeaturesExplained.places`.
    """
    networks = list(places["network"].unique())
    figure = Figure(figsize=(3.5 * len(networks), 7), layout="constrained")
    grid = np.atleast_2d(figure.subplots(2, len(networks), squeeze=False))
    for column, network in enumerate(networks):
        own = places[places["network"] == network]
        for row, colour in enumerate(("label", "site")):
            _scatter(grid[row, column], own, colour, legend=column == len(networks) - 1)
            grid[row, column].set_title(f"{network}, by {colour}", fontsize=9, color=_INK)
    figure.suptitle(
        "Test patients of the first fold on the first two principal components of each network's "
        "features. Research use only",
        fontsize=9,
    )
    return figure


def _matrix(axes: Axes, similarity: pd.DataFrame) -> None:
    names = list(dict.fromkeys([*similarity["one"], *similarity["other"]]))
    values = np.eye(len(names))
    for _, row in similarity.iterrows():
        a, b = names.index(row["one"]), names.index(row["other"])
        values[a, b] = values[b, a] = row["cka"]
    axes.imshow(values, vmin=0, vmax=1, cmap="cividis")
    for a in range(len(names)):
        for b in range(len(names)):
            shade = "black" if values[a, b] > 0.6 else "white"
            axes.text(b, a, f"{values[a, b]:.2f}", ha="center", va="center", color=shade)
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("Similarity (debiased linear CKA)", fontsize=9, color=_INK)


def _table(axes: Axes, probes: pd.DataFrame) -> None:
    """A line a representation, a mark a question; chance is the dashed line of each kind."""
    spaces, questions = list(probes["features"].unique()), list(probes["what"].unique())
    for place, what in enumerate(questions):
        own = probes[probes["what"] == what].set_index("features").reindex(spaces)
        rows = np.arange(len(spaces)) + (place - (len(questions) - 1) / 2) * 0.6 / len(questions)
        measure = own["measure"].iloc[0]
        axes.errorbar(
            own["score"],
            rows,
            xerr=own["sd"].fillna(0),
            fmt="os"[measure == "r"],
            color=_PALETTE[place % len(_PALETTE)],
            markersize=4,
            linewidth=0.8,
            label=f"{what} ({'r' if measure == 'r' else 'AUC'})",
        )
    for chance in {0.5 if m == "auc" else 0.0 for m in probes["measure"]}:
        axes.axvline(chance, color=_INK, linestyle=(0, (4, 3)), linewidth=0.7)
    axes.set_yticks(range(len(spaces)), spaces, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("cross-validated, mean ± sd over folds; dashed: chance", fontsize=8)
    axes.set_title("What linear probes read", fontsize=9, color=_INK)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def _scatter(axes: Axes, places: pd.DataFrame, colour: str, *, legend: bool) -> None:
    names = places[colour].fillna("unknown").astype(str)
    shown = sorted(names.value_counts().index[: len(_PALETTE) - 1])
    for number, name in enumerate(shown):
        own = places[names == name]
        axes.scatter(own["x"], own["y"], s=12, color=_PALETTE[number], label=name)
    rest = places[~names.isin(shown)]
    if len(rest):
        axes.scatter(rest["x"], rest["y"], s=12, color=_PALETTE[-1], label="others")
    axes.set_xticks([])
    axes.set_yticks([])
    if legend:
        axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
