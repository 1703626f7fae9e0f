"""Learning curves: rising curves, labels needed, and what a table of them says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import IsotonicRegression

from histodistill.evaluation.learning import (
    LabelledPart,
    labels_needed,
    learning_curves,
    rising,
)
from tests.evaluation.simulated import two_class

LABELLED = np.array([20.0, 40.0, 80.0, 160.0])


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, (3, 5), elements=st.floats(0, 1)))
def test_rising_is_isotonic_regression(values):
    for row, found in zip(values, rising(values), strict=True):
        expected = IsotonicRegression().fit_transform(np.arange(5), row)
        assert found == pytest.approx(expected, abs=1e-9)


def test_labels_needed_lie_on_the_line_between_two_parts():
    aucs = np.array([[0.6, 0.7, 0.8, 0.9]] * 4)
    aim = np.array([0.75, 0.9, 0.5, 0.95])
    needed = labels_needed(aucs, aim, LABELLED)
    assert needed == pytest.approx([np.sqrt(40 * 80), 160, 20, np.inf])


def test_a_dip_is_no_way_back():
    # 0.8 with 40 labels by chance, and 0.6 after it: the curve is 0.7 between them.
    needed = labels_needed(np.array([[0.5, 0.8, 0.6, 0.9]]), np.array([0.75]), LABELLED)
    assert 80 < needed[0] < 160


@pytest.fixture(scope="module")
def curves():
    parts = [
        LabelledPart(two_class(120, (("abmil", signal), ("mkd", signal + 0.5))), {"ER": labelled})
        for signal, labelled in ((0.4, 20), (0.8, 40), (1.2, 80))
    ]
    return learning_curves(parts, "abmil student", n_resamples=60)


def test_a_better_method_needs_fewer_labels(curves):
    needed = curves.needed[curves.needed["network"] == "student"].set_index("method")
    assert needed.loc["abmil", "needed"] == pytest.approx(80)
    assert needed.loc["mkd", "needed"] < 80
    assert (needed["needed_low"] <= needed["needed"]).all()
    assert (needed["needed_high"] >= needed["needed"]).all()
    assert set(needed["all_labels"]) == {80}


def test_who_never_gets_there_is_told():
    parts = [
        LabelledPart(two_class(120, (("abmil", 2.5), ("weak", s))), {"ER": n})
        for s, n in ((0.1, 20), (0.2, 40))
    ]
    needed = learning_curves(parts, "abmil student", n_resamples=20).needed
    weak = needed[(needed["method"] == "weak") & (needed["network"] == "student")].iloc[0]
    assert weak["note"] == "not reached"
    assert np.isinf(weak["needed"])
    abmil = needed[(needed["method"] == "abmil") & (needed["network"] == "student")].iloc[0]
    assert abmil["note"] == "reached with the smallest part already"


def test_a_method_without_parts_and_a_run_without_a_reference(curves):
    few, whole = two_class(60, (("abmil", 1.0),)), two_class(60, (("abmil", 1.0), ("new", 1.0)))
    parts = [LabelledPart(few, {"ER": 10}), LabelledPart(whole, {"ER": 48})]
    made = learning_curves(parts, None)
    assert made.needed.empty
    assert (made.points["method"] == "new").sum() == made.points["network"].nunique()
    named = learning_curves(parts, "abmil student", n_resamples=5).needed
    assert set(named["method"]) == {"abmil"}
