"""The penalty of a ridge regression against scikit-learn, and against leaving out each row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV

from histodistill.preparation.penalty import best_penalty

PENALTIES = np.logspace(-3, 4, 15)


def centred(shape: tuple[int, int], k: int, noise: float, seed: int):
    n, width = shape
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(n, width)) * rng.exponential(size=width)
    answers = inputs @ rng.normal(size=(width, k)) + noise * rng.normal(size=(n, k))
    return inputs - inputs.mean(axis=0), answers - answers.mean(axis=0)


@pytest.mark.parametrize("shape", [(30, 5), (30, 29), (30, 30), (12, 40), (60, 8)])
@pytest.mark.parametrize("noise", [0.1, 3.0, 30.0])
def test_it_is_the_penalty_that_scikit_learn_chooses(shape, noise):
    for seed in range(4):
        inputs, answers = centred(shape, 3, noise, seed)
        chosen = RidgeCV(alphas=PENALTIES).fit(inputs, answers).alpha_
        assert best_penalty(inputs, answers, PENALTIES) == chosen


def test_it_predicts_rows_that_are_left_out_best():
    inputs, answers = centred((18, 6), 2, 4.0, 0)

    def error(penalty: float) -> float:
        told = []
        for row in range(len(inputs)):
            others = np.arange(len(inputs)) != row
            model = Ridge(penalty).fit(inputs[others], answers[others])
            told.append(np.square(model.predict(inputs[[row]]) - answers[row]).sum())
        return float(np.sum(told))

    assert best_penalty(inputs, answers, PENALTIES) == min(PENALTIES, key=error)


def test_columns_without_any_spread_are_no_trouble():
    inputs, answers = centred((20, 4), 2, 1.0, 1)
    wider = np.hstack([inputs, np.zeros((20, 3))])
    assert best_penalty(wider, answers, PENALTIES) == best_penalty(inputs, answers, PENALTIES)
    assert best_penalty(np.zeros((20, 4)), answers, PENALTIES) == PENALTIES[0]
