"""Validation figures, early stopping and the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from histodistill.inference import Probabilities
from histodistill.model.heads import Head
from histodistill.training.loop.trainer import cosine
from histodistill.training.loop.validation import EarlyStopping, validation_figures


def two_classes(positive: list[float]) -> np.ndarray:
    column = np.array(positive)
    return np.column_stack([1 - column, column])


def test_figures_are_counted_by_hand() -> None:
    labels = np.array([0, 1, 1, 0])
    answers: Probabilities = {
        "student": two_classes([0.2, 0.9, 0.4, 0.6]),
        "genomic": two_classes([np.nan, 0.5, np.nan, 0.5]),
    }
    figures = validation_figures(answers, labels)
    # Pairs (positive, negative) in the right order: 3 of 4; and one tie.
    assert figures["student_auc"] == 3 / 4
    assert figures["genomic_auc"] == 1 / 2
    losses = [-math.log(p) for p in (0.8, 0.9, 0.4, 0.4)]
    assert figures["student_loss"] == pytest.approx(sum(losses) / 4)
    assert figures["genomic_loss"] == pytest.approx(math.log(2))
    assert figures["loss"] == pytest.approx(figures["student_loss"] + math.log(2))
    assert len(figures) == 5


def test_more_classes_are_judged_one_against_the_rest() -> None:
    labels = np.array([0, 1, 2])
    figures = validation_figures({"student": np.eye(3) * 0.7 + 0.1}, labels)
    assert figures["student_auc"] == 1
    assert figures["student_loss"] == pytest.approx(-math.log(0.8))


def test_a_figure_without_patients_or_classes_is_undefined() -> None:
    answers: Probabilities = {
        "student": two_classes([0.2, 0.9]),
        "multimodal": two_classes([np.nan, np.nan]),
    }
    figures = validation_figures(answers, np.array([1, 1]))
    assert math.isnan(figures["student_auc"])
    assert math.isfinite(figures["student_loss"])
    assert math.isnan(figures["multimodal_auc"])
    assert math.isnan(figures["multimodal_loss"])
    assert math.isnan(figures["loss"])


def test_certainty_in_the_wrong_class_costs_much_but_not_everything() -> None:
    figures = validation_figures({"student": two_classes([1.0])}, np.array([0]))
    assert 700 < figures["student_loss"] < math.inf


@pytest.mark.parametrize(
    ("monitor", "figures", "best", "epochs"),
    [
        # An AUC is to rise; an equal one is no better; two epochs without a better one stop.
        ("student_auc", [0.5, 0.7, 0.7, 0.6, 0.9], 1, 4),
        ("student_auc", [0.5, 0.6, 0.5, 0.7, 0.7, 0.7], 3, 6),
        # A loss is to fall.
        ("genomic_loss", [0.7, 0.5, 0.5, 0.6, 0.1], 1, 4),
        ("loss", [2.0, 2.1, 1.9, 2.0, 1.8], 4, 5),
        ("loss", [1.0, 2.0, 3.0], 0, 3),
        ("student_auc", [0.1], 0, 1),
    ],
)
def test_stopping(monitor: str, figures: list[float], best: int, epochs: int) -> None:
    stopping = EarlyStopping(monitor, patience=2)
    kept, run = None, 0
    for epoch, figure in enumerate(figures):
        if stopping.stops:
            break
        if stopping.update(epoch, {monitor: figure, "other": -1.0}):
            kept = epoch
        # An interruption after any epoch changes nothing.
        stopping = EarlyStopping(**stopping.state())
        run += 1
    assert (kept, stopping.best_epoch, run) == (best, best, epochs)


def test_schedule_is_that_of_pytorch() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=2e-4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    for epoch in range(100):
        assert cosine(2e-4, epoch, 50) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12)
        optimizer.step()
        theirs.step()
    assert cosine(1.0, 0, 50) == 1
    assert cosine(1.0, 50, 50) == 0


def test_figures_of_several_targets_are_weighted_means() -> None:
    """A target that nobody is labelled for has no say; ordered classes are judged by cuts."""
    heads = (Head(2, weight=1), Head(3, ordered=True, weight=3), Head(2))
    first = two_classes([0.2, 0.9, 0.4])
    second = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    answers: Probabilities = {"student": np.hstack([first, second, first])}
    labels = np.array([[0, -1, -1], [1, 1, -1], [-1, 2, -1]])
    figures = validation_figures(answers, labels, heads)
    of_first = -(math.log(0.8) + math.log(0.9)) / 2
    cuts = [math.log(0.8) + math.log(0.7), math.log(0.9) + math.log(0.8)]
    of_second = -sum(cuts) / 4
    assert figures["student_loss"] == pytest.approx(of_first / 4 + 3 * of_second / 4)
    assert figures["student_auc"] == 1  # of the first; the second lacks a class
