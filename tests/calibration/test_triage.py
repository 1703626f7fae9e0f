"""Triage keeps its promise, and makes none that the data cannot support."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import expit

from histodistill.calibration.triage import (
    TriagePolicy,
    fit_triage,
    patients_needed,
    unsupported,
    upper_limit,
)
from histodistill.errors import InputError


def patients(rng: np.random.Generator, n: int, prevalence: float = 0.4, apart: float = 2.5):
    y = (rng.random(n) < prevalence).astype(int)
    return y, expit(rng.normal(0, 1, n) + apart * (y - 0.5))


def thinned(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every tenth patient of each class in the order of probability: shares are as of all."""
    order = np.lexsort((p, y))[5::10]
    return y[order], p[order]


def test_what_no_error_proves() -> None:
    assert upper_limit(0, 60) == pytest.approx(0.0487, abs=1e-4)
    assert patients_needed(0.05) == 59
    assert upper_limit(0, 59) <= 0.05 < upper_limit(0, 58)
    assert upper_limit(3, 3) == 1


def test_the_promise_holds_in_95_of_100_cohorts() -> None:
    rng = np.random.default_rng(0)
    policy = TriagePolicy(max_missed=0.1, max_false_alarms=0.15)
    many = thinned(*patients(rng, 100_000))
    broken_low = broken_high = spared = 0
    for _ in range(400):
        rule = fit_triage(policy, *patients(rng, 200))
        answers = np.array(rule.answers(many[1]))
        broken_low += (answers[many[0] == 1] == "negative").mean() > 0.1
        broken_high += (answers[many[0] == 0] == "positive").mean() > 0.15
        spared += (answers != "send to IHC").mean() / 400
    assert broken_low / 400 <= 0.075  # .05 and the chance of 400 cohorts
    assert broken_high / 400 <= 0.075
    assert spared > 0.5


def test_a_promised_ppv_holds() -> None:
    rng = np.random.default_rng(1)
    policy = TriagePolicy(min_ppv=0.9)
    many = thinned(*patients(rng, 100_000, apart=4))
    broken = 0
    for _ in range(200):
        rule = fit_triage(policy, *patients(rng, 500, apart=4))
        called = np.array(rule.answers(many[1])) == "positive"
        broken += many[0][called].mean() < 0.9
    assert broken / 200 <= 0.05


def test_what_the_cohort_cannot_support_is_refused_with_the_number_it_takes() -> None:
    y, p = patients(np.random.default_rng(0), 60)
    with pytest.raises(InputError, match=r"it takes 59 or more") as refused:
        fit_triage(TriagePolicy(max_missed=0.05), y, p)
    assert f"{y.sum()} positive patients" in str(refused.value)
    with pytest.raises(
        InputError, match=r"predictive value of 0\.98 cannot be certified by \d+ positive patients"
    ):
        fit_triage(TriagePolicy(min_ppv=0.98), y, p)


def test_what_is_not_stated_is_not_released() -> None:
    y, p = patients(np.random.default_rng(0), 500)
    answers = fit_triage(TriagePolicy(max_missed=0.05), y, p).answers(p)
    assert set(answers) == {"negative", "send to IHC"}
    assert fit_triage(TriagePolicy(max_missed=0.05), y, p).answers([np.nan]) == ["send to IHC"]


def test_nobody_is_called_both() -> None:
    y, p = patients(np.random.default_rng(0), 2000, apart=8)
    rule = fit_triage(TriagePolicy(max_missed=0.3, max_false_alarms=0.3), y, p)
    assert rule.negative is not None
    assert rule.positive is not None
    assert rule.negative.threshold == rule.positive.threshold
    assert "send to IHC" not in rule.answers(p)


def test_ties_are_on_one_side() -> None:
    y = np.repeat([1, 0], [100, 100])
    p = np.round(patients(np.random.default_rng(0), 200)[1], 1)
    rule = fit_triage(TriagePolicy(max_missed=0.2, max_false_alarms=0.2), y, p)
    assert rule.negative is not None
    assert (p[y == 1] < rule.negative.threshold).sum() == rule.negative.errors
    assert rule.positive is not None
    assert (p[y == 0] >= rule.positive.threshold).sum() == rule.positive.errors


def test_a_ppv_that_so_few_positive_patients_cannot_show_is_refused_before_any_answer():
    policy = TriagePolicy(min_ppv=0.95)
    needed = patients_needed(0.05, 1 - 0.05 / 20)
    assert not unsupported(policy, needed, 1000)
    (problem,) = unsupported(policy, needed - 1, 1000)
    assert f"it takes {needed} or more" in problem
    # With the best answers that there can be, no more is certified.
    y = np.repeat([1, 0], [needed - 1, 1000])
    with pytest.raises(InputError) as refused:
        fit_triage(policy, y, y.astype(float))
    assert refused.value.problems == (problem,)


@pytest.mark.parametrize("policy", [{}, {"min_ppv": 0.9, "max_false_alarms": 0.1}])
def test_a_policy_says_something_and_once(policy: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        TriagePolicy.model_validate(policy)
