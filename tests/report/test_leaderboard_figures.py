from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from histodistill.evaluation import Ranking, build_leaderboard, rank_methods
from histodistill.report import critical_difference_figure, forest_figure, write_figure
from histodistill.report.critical_difference import bar_levels
from tests.evaluation.simulated import two_class


def ranking(k: int, n: int = 15, noise: float = 2.0) -> Ranking:
    """A ranking of k methods with names of many lengths."""
    generator = np.random.default_rng(k)
    skill = np.arange(k)[:, None] + noise * generator.normal(size=(k, n))
    rows = [
        {"method": f"method-{'x' * (i % 20)}{i}", "fold": fold, "auc": skill[i, fold]}
        for i in range(k)
        for fold in range(n)
    ]
    table = pd.DataFrame(rows).assign(target="ER", network="student", seed=0, repeat=0)
    return rank_methods(table, "student")


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Texts that lie over one another or leave the figure."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in drawn_texts(figure)]
    whole = figure.bbox
    outside = [(name, "edge") for name, box in boxes if not _within(box, whole)]
    both = [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if box.overlaps(other)
    ]
    return outside + both


def drawn_texts(figure: Figure) -> list[Text]:
    """All texts but the labels of ticks beyond an axis, which exist and are not drawn."""
    beyond = {
        tick.label1
        for ax in figure.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    texts = set(figure.findobj(Text)) - beyond
    return [text for text in texts if text.get_text() and text.get_visible()]


def _within(box, whole) -> bool:
    return bool(box.x0 >= whole.x0 and box.x1 <= whole.x1 and box.y0 >= 0 and box.y1 <= whole.y1)


@pytest.mark.parametrize("k", [2, 3, 12, 35])
def test_critical_difference_labels_are_apart(k: int):
    ranked = ranking(k)
    figure = critical_difference_figure(ranked)
    texts = [text.get_text() for text in figure.axes[0].texts]
    for name, rank in ranked.mean_ranks.items():
        assert f"{name}  {rank:.2f}" in texts
    assert f"critical difference {ranked.critical_difference:.2f}" in texts
    assert overlaps(figure) == []


def test_a_critical_difference_wider_than_the_axis_stays_in_the_figure():
    ranked = ranking(3, n=2)
    assert ranked.critical_difference > 2
    assert overlaps(critical_difference_figure(ranked)) == []


def test_bars_lie_over_their_groups_and_never_touch():
    ranked = ranking(35, noise=6)
    levels = bar_levels(ranked)
    assert len(levels) == len(ranked.groups) > 3
    for level in set(levels):
        of_level = [g for g, where in zip(ranked.groups, levels, strict=True) if where == level]
        for one, following in pairwise(of_level):
            assert ranked.mean_ranks[one[-1]] < ranked.mean_ranks[following[0]]
    figure = critical_difference_figure(ranked)
    lines = figure.axes[0].get_lines()
    bars = [line for line in lines if line.get_linewidth() == 2.6]
    assert len(bars) == len(ranked.groups)
    first = np.asarray(lines[0].get_xdata(), dtype=float)
    scale = (first[1] - first[0]) / (len(ranked.mean_ranks) - 1)
    for bar, group in zip(bars, ranked.groups, strict=True):
        ends = (np.asarray(bar.get_xdata(), dtype=float) - first[0]) / scale + 1
        expected = [ranked.mean_ranks[group[0]], ranked.mean_ranks[group[-1]]]
        np.testing.assert_allclose(ends, expected, atol=0.04 / scale)


@pytest.mark.parametrize("k", [1, 12, 35])
def test_forest_labels_are_apart(k: int):
    methods = [(f"method-{'x' * (i % 20)}{i}", 0.5 + 0.05 * i) for i in range(k)]
    table = pd.concat([two_class(methods=methods, target=name) for name in ("ER", "PR", "HER2")])
    figure = forest_figure(build_leaderboard(table).results, {})
    figure.draw_without_rendering()
    assert overlaps(figure) == []


def test_forest_rows_points_and_reference():
    table = two_class(networks=("student", "genomic"))
    results = build_leaderboard(table).results
    figure = forest_figure(results, {"student": "abmil"})
    (ax,) = figure.axes
    names = [label.get_text() for label in ax.get_yticklabels()]
    order = results.sort_values("auc", ascending=False)
    by_network = {n: list(order.query("network == @n")["method"]) for n in ("student", "genomic")}
    assert names == ["Slides only", *by_network["student"], "Genomics only", *by_network["genomic"]]
    dots = [line for line in ax.get_lines() if line.get_marker() in ("o", "s", "D")]
    drawn = {int(np.ravel(dot.get_ydata())[0]): np.ravel(dot.get_xdata())[0] for dot in dots}
    auc = results.set_index(["network", "method"])["auc"]
    assert drawn[1] == auc[("student", by_network["student"][0])]
    assert drawn[5] == auc[("genomic", by_network["genomic"][1])]
    dashed = [line for line in ax.get_lines() if line.get_linestyle() == "--"]
    assert [np.ravel(line.get_xdata())[0] for line in dashed] == [auc[("student", "abmil")]]


def test_dollar_signs_in_names_start_no_formula(tmp_path: Path):
    methods = [(r"a$\frac$", 1.0), ("b$", 2.0)]
    board = build_leaderboard(two_class(methods=methods, seeds=(0,), target=r"$\x$"))
    write_figure(critical_difference_figure(board.rankings[0]), tmp_path, "ranks")
    write_figure(forest_figure(board.results, {}), tmp_path, "auc")
    assert len(list(tmp_path.iterdir())) == 4
