from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histodistill.evaluation import ThresholdRule, choose_threshold
from histodistill.evaluation.thresholds import RULES


def merit(rule: str, y: np.ndarray, p: np.ndarray, threshold: float) -> float:
    call = p >= threshold
    sensitivity, specificity = call[y == 1].mean(), (~call[y == 0]).mean()
    if rule == "f1":
        return float(2 * (call & (y == 1)).sum() / (call.sum() + y.sum()))
    if rule == "sensitivity@0.95":
        return float(specificity) if sensitivity >= 0.95 else -1
    return float(sensitivity + specificity)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 10)), min_size=2, max_size=20).filter(
        lambda rows: len({y for y, _ in rows}) == 2
    ),
    st.sampled_from(RULES),
)
def test_no_threshold_does_better(rows: list[tuple[int, int]], rule: ThresholdRule):
    y = np.array([label for label, _ in rows])
    p = np.array([tenths for _, tenths in rows]) / 10
    threshold = choose_threshold(y, p, rule)
    assert 0 <= threshold <= 1
    best = max(merit(rule, y, p, t) for t in np.linspace(0, 1, 41))
    assert merit(rule, y, p, threshold) == pytest.approx(best)


def test_a_perfect_split_is_cut_in_the_middle_of_its_gap():
    assert choose_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.7]) == pytest.approx(0.4)


def test_of_equal_thresholds_the_widest_gap_wins_then_the_lowest():
    # Youden's index is 1/2 between .2 and .3 and, again, between .4 and .9.
    assert choose_threshold([0, 1, 0, 1], [0.2, 0.3, 0.4, 0.9]) == pytest.approx(0.65)
    assert choose_threshold([0, 1, 0, 1], [0.25, 0.5, 0.75, 1.0]) == pytest.approx(0.375)


def test_sensitivity_first():
    y = np.array([0] * 10 + [1] * 10)
    p = np.concatenate([np.linspace(0.05, 0.5, 10), [0.3], np.linspace(0.6, 0.9, 9)])
    assert choose_threshold(y, p, "youden") == pytest.approx(0.55)
    threshold = choose_threshold(y, p, "sensitivity@0.95")
    assert 0.25 < threshold < 0.3 + 1e-9


def test_neighbouring_floats_are_told_apart():
    low = 0.5
    high = float(np.nextafter(low, 1))
    assert low < choose_threshold([0, 1], [low, high]) <= high


def test_all_probabilities_equal():
    assert choose_threshold([0, 1, 1], [0.7, 0.7, 0.7], "f1") <= 0.7


@pytest.mark.parametrize("y", [[1, 1], [0, 0], []])
def test_one_class_falls_back_and_says_so(y: list[int]):
    with pytest.warns(UserWarning, match=r"one class alone.*0\.5 is taken"):
        assert choose_threshold(y, [0.4] * len(y)) == 0.5


def test_two_classes_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        choose_threshold([0, 1], [0.2, 0.3])


def test_unknown_rule():
    with pytest.raises(ValueError, match="unknown threshold rule 'half'; expected one of youden"):
        choose_threshold([0, 1], [0.2, 0.3], "half")  # type: ignore[arg-type]
