from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from histodistill.evaluation import (
    METRICS,
    STANDARD_METRICS,
    Answers,
    answers_of,
    roc_auc,
    score,
    target_classes,
)
from histodistill.evaluation.scores import weighted_metrics
from tests.evaluation.simulated import three_class


@st.composite
def two_class_answers(draw: st.DrawFn) -> Answers:
    """Both classes present, probabilities on a coarse grid so that ties are common."""
    n = draw(st.integers(2, 25))
    y = draw(st.lists(st.integers(0, 1), min_size=n, max_size=n).filter(lambda v: len(set(v)) == 2))
    p = draw(st.lists(st.sampled_from([k / 8 for k in range(9)]), min_size=n, max_size=n))
    return Answers.two_class(y, p, threshold=draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])))


def sklearn_metrics(a: Answers, weight: np.ndarray) -> dict[str, float]:
    y, p, call = a.y, a.positive, a.calls
    recall = {"sample_weight": weight, "zero_division": 0}
    return {
        "auc": sk.roc_auc_score(y, p, sample_weight=weight),
        "average_precision": sk.average_precision_score(y, p, sample_weight=weight),
        "accuracy": sk.accuracy_score(y, call, sample_weight=weight),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call, sample_weight=weight),
        "sensitivity": sk.recall_score(y, call, **recall),
        "specificity": sk.recall_score(y, call, pos_label=0, **recall),
        "ppv": sk.precision_score(y, call, **recall) if call @ weight else np.nan,
        "f1": sk.f1_score(y, call, **recall),
        "kappa": sk.cohen_kappa_score(y, call, sample_weight=weight),
        "brier": sk.brier_score_loss(y, p, sample_weight=weight),
    }


@settings(max_examples=40, deadline=None)
@given(two_class_answers(), st.integers(0, 2**32 - 1))
def test_two_classes_agree_with_scikit_learn_under_weights(answers: Answers, seed: int):
    drawn = np.random.default_rng(seed).integers(1, 4, size=(2, len(answers))).astype(float)
    ours = weighted_metrics(answers, drawn)
    for row, weight in enumerate(drawn):
        for name, expected in sklearn_metrics(answers, weight).items():
            assert ours[name][row] == pytest.approx(expected, abs=1e-12, nan_ok=True), name


def test_a_weight_is_a_multiplicity():
    answers = Answers.two_class([0, 1, 1, 0], [0.2, 0.7, 0.4, 0.4], threshold=0.5)
    weights = np.array([[2.0, 0.0, 1.0, 3.0]])
    repeated = np.repeat([0, 1, 2, 3], [2, 0, 1, 3])
    alone = Answers.two_class(answers.y[repeated], answers.positive[repeated], threshold=0.5)
    for name, value in weighted_metrics(answers, weights).items():
        assert value[0] == pytest.approx(score(alone).metrics[name], nan_ok=True), name


def test_three_classes_agree_with_scikit_learn():
    table = three_class()
    answers = answers_of(table, "student", target_classes(table))
    y, p, call = answers.y, answers.probabilities, answers.calls
    onehot = np.eye(3)[y]
    ours = score(answers).metrics
    expected = {
        "auc": sk.roc_auc_score(y, p, multi_class="ovr"),
        "auc:LumA": sk.roc_auc_score(y == 1, p[:, 1]),
        "average_precision": sk.average_precision_score(onehot, p),
        "average_precision:LumB": sk.average_precision_score(y == 2, p[:, 2]),
        "accuracy": sk.accuracy_score(y, call),
        "balanced_accuracy": sk.balanced_accuracy_score(y, call),
        "sensitivity": sk.recall_score(y, call, average="macro"),
        "specificity": np.mean([sk.recall_score(y != k, call != k) for k in range(3)]),
        "ppv": sk.precision_score(y, call, average="macro"),
        "f1": sk.f1_score(y, call, average="macro"),
        "f1:LumA": sk.f1_score(y == 1, call == 1),
        "ppv:Basal": sk.precision_score(y == 0, call == 0),
        "kappa": sk.cohen_kappa_score(y, call),
        "brier": np.mean(((p - onehot) ** 2).sum(axis=1)),
    }
    for name, value in expected.items():
        assert ours[name] == pytest.approx(value), name
    assert roc_auc(y, p) == pytest.approx(ours["auc"])


def test_calibration_error_by_hand():
    # Bins [.1, .2): two patients, mean .15, half positive, gap .35; [.9, 1]: two patients, mean
    # .96, all positive, gap .04; [.3, .4): one patient, .3, negative, gap .3.
    p = [0.12, 0.18, 0.92, 1.0, 0.3]
    answers = Answers.two_class([0, 1, 1, 1, 0], p, threshold=0.5)
    expected = (2 * 0.35 + 2 * 0.04 + 1 * 0.3) / 5
    assert score(answers).metrics["ece"] == pytest.approx(expected)


def test_calibration_error_of_three_classes_is_of_the_called_class():
    p = np.array([[0.85, 0.1, 0.05], [0.1, 0.81, 0.09], [0.2, 0.35, 0.45]])
    answers = Answers(("a", "b", "c"), np.array([0, 2, 2]), p, ("x", "y", "z"), np.full(3, np.nan))
    # Bin [.8, .9): confidences .85 and .81, one of two right; bin [.4, .5): .45, right.
    expected = (abs(1 - 0.85 - 0.81) + abs(1 - 0.45)) / 3
    assert score(answers).metrics["ece"] == pytest.approx(expected)


def test_missing_positive_class_is_noted_and_undefined():
    scores = score(Answers.two_class([0, 0, 0], [0.1, 0.6, 0.2], threshold=0.5))
    undefined = {name for name, value in scores.metrics.items() if np.isnan(value)}
    assert undefined == {
        *("auc", "average_precision", "balanced_accuracy", "sensitivity", "f1", "kappa")
    }
    assert scores.notes == ("no positive patient",)
    assert scores.metrics["specificity"] == pytest.approx(2 / 3)


def test_missing_negative_class_is_noted_and_undefined():
    scores = score(Answers.two_class([1, 1], [0.1, 0.6], threshold=0.5))
    undefined = {name for name, value in scores.metrics.items() if np.isnan(value)}
    assert undefined == {"auc", "average_precision", "balanced_accuracy", "specificity", "kappa"}
    assert scores.notes == ("no negative patient",)


def test_one_missing_class_of_three_is_noted():
    table = three_class().query("label != 'Basal'")
    scores = score(answers_of(table, "student", ("Basal", "LumA", "LumB")))
    assert scores.notes == ("no Basal patient",)
    assert np.isnan(scores.metrics["auc"])
    assert not np.isnan(scores.metrics["auc:LumA"])


def test_one_patient():
    scores = score(Answers.two_class([1], [0.7], threshold=0.5))
    assert scores.metrics["accuracy"] == 1
    assert scores.metrics["brier"] == pytest.approx(0.09)
    assert np.isnan(scores.metrics["auc"])


def test_nobody():
    scores = score(Answers.two_class([], [], threshold=0.5))
    assert set(scores.metrics) == set(STANDARD_METRICS)
    assert all(np.isnan(value) for value in scores.metrics.values())
    assert scores.notes == ("no labelled patient with an answer",)


def test_without_a_threshold_calls_are_undefined_and_noted():
    scores = score(Answers.two_class([0, 1], [0.2, 0.9]))
    assert scores.metrics["auc"] == 1
    assert np.isnan(scores.metrics["accuracy"])
    assert scores.notes == ("no operating threshold",)


def test_a_probability_at_the_threshold_is_positive():
    assert Answers.two_class([0, 1], [0.4, 0.6], threshold=0.6).calls.tolist() == [0, 1]


def test_auc_of_arrays():
    assert roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]) == 0.75
    assert roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert np.isnan(roc_auc([1, 1], [0.5, 0.5]))


def test_a_class_against_the_rest_is_called_as_before():
    table = three_class()
    answers = answers_of(table, "student", target_classes(table))
    one = answers.against_rest(1)
    assert one.classes == ("not LumA", "LumA")
    assert one.calls.tolist() == (answers.calls == 1).astype(int).tolist()
    assert one.of(["P003", "P001"]).calls.tolist() == one.calls[[3, 1]].tolist()


@pytest.mark.parametrize("name", STANDARD_METRICS)
def test_every_metric_declares_what_tables_and_readers_need(name: str):
    declared = METRICS.facts(name)
    assert declared.label
    assert declared.text
    assert declared.formula
    assert declared.bounds[0] < declared.bounds[1]
    assert declared.smaller_is_better == (declared.of == "calibration")


@settings(max_examples=20, deadline=None)
@given(two_class_answers())
def test_every_metric_lies_within_its_bounds(answers: Answers):
    for name, value in score(answers).metrics.items():
        low, high = METRICS.facts(name).bounds
        assert np.isnan(value) or low <= value <= high, name
