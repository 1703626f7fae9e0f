"""What classes that stand in an order are judged by besides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from histodistill.errors import InputError
from histodistill.evaluation import evaluate, is_of_order, read_predictions, write_predictions
from histodistill.evaluation.answers import Answers, answers_of
from histodistill.evaluation.layout import target_classes
from histodistill.evaluation.scores import score

GRADES = ("zero", "low", "positive")


def table(n: int = 90, *, ordered: bool = True) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    logits = rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[y]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    frame = pd.DataFrame(
        {
            "PATIENT": [f"P{i:03}" for i in range(n)],
            "target": "HER2",
            "method": "mine",
            "seed": 0,
            "repeat": 0,
            "fold": np.arange(n) % 3,
            "label": [GRADES[k] for k in y],
            "positive_class": None,
        }
    )
    if ordered:
        frame["ordered"] = "|".join(GRADES)
    return frame.assign(**{f"student:{name}": p[:, k] for k, name in enumerate(GRADES)})


def answers(frame: pd.DataFrame) -> Answers:
    return answers_of(frame, "student", target_classes(frame))


def test_kappa_and_cuts_are_those_of_scikit_learn() -> None:
    own = answers(table())
    metrics = score(own).metrics
    assert metrics["kappa:quadratic"] == pytest.approx(
        cohen_kappa_score(own.y, own.calls, weights="quadratic")
    )
    for k, name in enumerate(GRADES[1:], start=1):
        expected = roc_auc_score(own.y >= k, own.probabilities[:, k:].sum(axis=1))
        assert metrics[f"auc:{name} or above"] == pytest.approx(expected)


def test_weights_count_patients_as_often() -> None:
    from histodistill.evaluation.metrics import weighted_kappa

    own = answers(table())
    weights = np.random.default_rng(1).integers(0, 4, len(own)).astype(float)
    often = np.repeat(np.arange(len(own)), weights.astype(int))
    expected = cohen_kappa_score(own.y[often], own.calls[often], weights="quadratic")
    assert weighted_kappa(own, weights[None])[0] == pytest.approx(expected)


def test_classes_without_an_order_have_none_of_it() -> None:
    plain = score(answers(table(ordered=False))).metrics
    ordered = score(answers(table())).metrics
    assert not any(map(is_of_order, plain))
    assert [name for name in ordered if is_of_order(name)] == [
        "auc:low or above",
        "auc:positive or above",
        "kappa:quadratic",
    ]
    assert all(ordered[name] == value for name, value in plain.items())


def test_labels_of_one_class_leave_it_undefined() -> None:
    frame = table()
    metrics = score(answers(frame[frame["label"] == "low"])).metrics
    assert np.isnan(metrics["kappa:quadratic"])
    assert np.isnan(metrics["auc:low or above"])


def test_the_summary_has_them_with_intervals(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions.csv", table())
    summary = evaluate(read_predictions(tmp_path / "predictions.csv"), n_resamples=50).summary
    found = summary[summary["metric"].map(is_of_order)].set_index("metric")
    assert len(found) == 3
    assert (found["low"] < found["estimate"]).all()
    assert (found["estimate"] < found["high"]).all()


def test_another_order_than_that_of_the_columns_is_refused(tmp_path: Path) -> None:
    frame = table().assign(ordered="positive|low|zero")
    with pytest.raises(InputError, match=r"column ordered says positive\|low\|zero"):
        write_predictions(tmp_path / "predictions.csv", frame)
