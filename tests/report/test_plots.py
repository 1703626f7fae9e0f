from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from histodistill.evaluation import Answers, Runs, runs_of
from histodistill.report import (
    calibration_figure,
    precision_recall_figure,
    roc_figure,
    training_figure,
    write_figure,
)
from tests.evaluation.simulated import two_class

TABLE = two_class(n=40)
CLASSES = ("negative", "positive")
PANELS = {
    "Slides only": {
        str(method): runs_of(rows, "student", CLASSES) for method, rows in TABLE.groupby("method")
    }
}
NOTHING = {"Slides only": {"mkd": Runs.joined([Answers.two_class([1, 1], [0.2, 0.7])], CLASSES, 1)}}
DRAW = [roc_figure, precision_recall_figure, calibration_figure]
RECORDS = [
    {
        "epoch": epoch,
        "learning_rate": 1e-3,
        "losses": {"ce": 1 / (epoch + 1), "total": 2 / (epoch + 1)},
        "validation": {"student_auc": None if epoch == 0 else 0.8, "student_loss": 0.5},
        "best": epoch == 1,
    }
    for epoch in range(3)
]


def legend(figure: Figure, axes: int = 0) -> list[str]:
    found = figure.axes[axes].get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def test_roc_legend_and_curves():
    figure = roc_figure(PANELS)
    abmil, mkd = legend(figure)
    assert abmil.startswith("abmil: 0.")
    assert mkd.startswith("mkd: 0.")
    assert "[" in mkd
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    x, y = (np.asarray(values) for values in lines[mkd].get_data())
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert len(figure.axes[0].collections) == 2  # a band each


def test_a_method_keeps_its_colour_in_every_panel():
    figure = roc_figure({**PANELS, "Genomics only": {"mkd": PANELS["Slides only"]["mkd"]}})
    colours = [
        {str(line.get_label()).split(":")[0]: line.get_color() for line in ax.get_lines()}["mkd"]
        for ax in figure.axes
    ]
    assert colours[0] == colours[1]


def test_precision_recall_and_calibration_legends():
    assert legend(precision_recall_figure(PANELS))[0].startswith("abmil: AP 0.")
    figure = calibration_figure(PANELS)
    assert legend(figure)[1].startswith("mkd: ECE 0.")
    assert len(figure.axes) == 2


@pytest.mark.parametrize("draw", DRAW)
def test_a_missing_class_leaves_a_panel_that_says_so(draw: Callable[..., Figure]):
    texts = [text.get_text() for text in draw(NOTHING).axes[0].texts]
    assert texts == ["nothing to draw"]


def test_training_curves():
    figure = training_figure(RECORDS, "mkd, fold 0")
    assert [ax.get_title() for ax in figure.axes] == [
        *("Training loss", "Validation loss", "Validation AUC")
    ]
    assert legend(figure, 0) == ["ce", "total"]
    assert legend(figure, 1) == legend(figure, 2) == ["student"]
    curve, best = figure.axes[2].get_lines()
    np.testing.assert_array_equal(curve.get_ydata(), [np.nan, 0.8, 0.8])
    np.testing.assert_array_equal(best.get_xdata(), [1, 1])


def test_training_without_validation():
    figure = training_figure([{"epoch": 0, "losses": {"ce": 1.0}}])
    assert [text.get_text() for text in figure.axes[2].texts] == ["nothing to draw"]


@pytest.mark.parametrize("draw", [*DRAW, None])
def test_files_are_valid_and_the_same_every_time(
    draw: Callable[..., Figure] | None, tmp_path: Path
):
    contents = []
    for again in ("first", "again"):
        figure = training_figure(RECORDS) if draw is None else draw(PANELS)
        paths = write_figure(figure, tmp_path / again, "figure")
        contents.append((paths["png"].read_bytes(), paths["svg"].read_bytes()))
    assert contents[0] == contents[1]
    with Image.open(paths["png"]) as image:
        pixels = np.asarray(image.convert("L"))
    assert min(pixels.shape) > 400
    assert pixels.std() > 5
    assert ET.fromstring(contents[0][1]).tag.endswith("svg")
    assert b"<dc:date>" not in contents[0][1]


@pytest.mark.parametrize("draw", [roc_figure, calibration_figure])
def test_names_of_many_curves_stand_under_the_panel(draw: Callable[..., Figure]):
    runs = PANELS["Slides only"]["mkd"]
    figure = draw({"Slides only": {f"method {number}": runs for number in range(6)}})
    figure.draw_without_rendering()
    (shown,) = [found for ax in figure.axes if (found := ax.get_legend()) is not None]
    assert len(shown.get_texts()) == 6
    assert shown.get_window_extent().y1 < min(ax.get_window_extent().y0 for ax in figure.axes)
