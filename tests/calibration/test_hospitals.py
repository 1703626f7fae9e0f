"""Promises for other hospitals: kept where hospitals differ, refused where they are too few."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from scipy.stats import norm

from histodistill.calibration.hospitals import most_worth, other_hospitals, smallest, worth
from histodistill.calibration.triage import TriagePolicy, fit_triage, unsupported_elsewhere
from histodistill.errors import InputError

SIZES = np.array([60, 45, 40, 35, 30, 25, 20, 15, 10, 8, 6, 3, 1, 1, 1])


def drawn(rng: np.random.Generator, between: float, sizes: np.ndarray = SIZES):
    """Scores of positive patients whose hospitals differ by a normal effect, and their hospital."""
    hospital = np.repeat(np.arange(len(sizes)), sizes)
    effect = rng.normal(0, between, len(sizes))
    return effect[hospital] + rng.normal(size=len(hospital)), hospital


def beyond(between: float, *, other: bool, cohorts: int = 300) -> float:
    """Share of cohorts whose rule misses more than 10 % of the positive of all hospitals."""
    rng = np.random.default_rng(0)
    policy, broken = TriagePolicy(max_missed=0.1), 0
    for _ in range(cohorts):
        x, hospital = drawn(rng, between)
        y = np.ones(len(x), dtype=int)
        try:
            rule = fit_triage(policy, y, expit(x), hospital if other else None)
        except InputError:
            continue
        assert rule.negative is not None
        threshold = -np.log(1 / rule.negative.threshold - 1)
        broken += norm.cdf(threshold / np.hypot(1, between)) > 0.1
    return broken / cohorts


@pytest.mark.parametrize("between", [0.0, 0.3, 0.6])
def test_a_promise_for_other_hospitals_holds(between: float) -> None:
    assert beyond(between, other=True) <= 0.08  # .05, and the chance of 300 cohorts


def test_one_for_patients_like_these_does_not_hold_in_other_hospitals() -> None:
    assert beyond(0.0, other=False) <= 0.08
    assert beyond(0.6, other=False) > 0.15


def test_patients_of_a_hospital_who_are_all_alike_count_as_one() -> None:
    hospital = np.repeat(np.arange(200), 5)
    alone = worth(np.tile([True, False, False, False, False], 200), hospital, 0.95)
    together = worth(np.repeat(np.arange(200) % 5 == 0, 5), hospital, 0.95)
    assert alone == pytest.approx(1, abs=0.02)  # errors as evenly spread as can be add nothing
    assert together == pytest.approx(1 / 5, rel=0.03)


def test_few_hospitals_say_little_and_one_nothing() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(600) < 0.1
    shares = [worth(wrong, np.arange(600) % k, 0.95) for k in (1, 2, 4, 20)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    lopsided = np.where(np.arange(600) < 560, 0, np.arange(600))
    assert worth(wrong, lopsided, 0.95) < 0.02  # many hospitals, nearly all patients of one


def test_the_smallest_are_so_many_and_ties_stay_together() -> None:
    assert smallest(np.array([3.0, 1, 2, 4]), 0.5).tolist() == [False, True, True, False]
    assert smallest(np.array([1.0, 1, 1, 4]), 0.25).tolist() == [True, True, True, False]
    assert smallest(np.array([3.0, 1]), 0.01).tolist() == [False, True]


def test_a_refusal_says_how_many_patients_of_such_hospitals_it_takes() -> None:
    x, hospital = drawn(np.random.default_rng(3), 1.5)
    y = np.ones(len(x), dtype=int)
    fit_triage(TriagePolicy(max_missed=0.05), y, expit(x))
    with pytest.raises(InputError) as refused:
        fit_triage(TriagePolicy(max_missed=0.05), y, expit(x), hospital)
    (problem,) = refused.value.problems
    assert "cannot be certified for other hospitals by 300 positive patients of 15" in problem
    assert "it takes 59, about" in problem
    with pytest.raises(InputError, match="it takes more hospitals"):
        fit_triage(TriagePolicy(max_missed=0.05), y, expit(x), np.zeros(len(x), dtype=int))


def test_a_predictive_value_for_other_hospitals_calls_fewer() -> None:
    rng = np.random.default_rng(0)
    x, hospital = drawn(rng, 0.8, np.full(40, 30))
    y = (rng.random(len(x)) < expit(3 * x)).astype(int)
    policy = TriagePolicy(min_ppv=0.85)
    like_these = fit_triage(policy, y, expit(x)).positive
    elsewhere = fit_triage(policy, y, expit(x), hospital).positive
    assert like_these is not None
    assert elsewhere is not None
    assert elsewhere.threshold >= like_these.threshold
    assert elsewhere.worth is not None
    assert elsewhere.worth < elsewhere.of
    assert f"in other hospitals like these {elsewhere.hospitals}, for" in elsewhere.promise
    assert like_these.promise == f"with 95 % confidence at most {like_these.limit:.3f}"


def test_hospitals_are_others_only_where_no_fold_shares_one() -> None:
    patients, fold = ("a", "b", "c", "d"), [0, 0, 1, 1]
    apart = pd.Series({"a": "N", "b": "N", "c": "S", "x": "W"})
    found = other_hospitals(apart, patients, fold)
    assert found is not None
    assert found.tolist() == [0, 0, 1, 2]  # whose hospital is not known is of none of these
    assert other_hospitals(pd.Series(dict.fromkeys(patients, "N")), patients, fold) is None
    mixed = pd.Series(dict(zip(patients, "NSNS", strict=True)))
    assert other_hospitals(mixed, patients, fold) is None
    assert other_hospitals(None, patients, fold) is None


@pytest.mark.parametrize("seed", range(6))
def test_what_hospitals_leave_is_known_before_any_answer(seed: int) -> None:
    """Whatever is refused beforehand would be refused by any answers."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 60, rng.integers(2, 12))
    x, hospital = drawn(rng, 0.3, sizes)
    y = (rng.random(len(x)) < 0.6).astype(int)
    policies = [TriagePolicy(max_missed=risk) for risk in (0.02, 0.05, 0.1, 0.2, 0.3)]
    policies += [TriagePolicy(max_false_alarms=0.1), TriagePolicy(min_ppv=0.8)]
    refused = [policy for policy in policies if unsupported_elsewhere(policy, y, hospital)]
    for policy in refused:
        for scores in (x, x + 9 * y):  # the second are never wrong
            with pytest.raises(InputError, match="cannot be certified"):
                fit_triage(policy, y, expit(scores), hospital)
    told = worth(rng.random(len(x)) < 0.1, hospital, 0.95)
    assert told <= most_worth(hospital, 0.95)


def test_few_hospitals_are_refused_beforehand_and_many_are_not() -> None:
    y = np.ones(300, dtype=int)
    policy = TriagePolicy(max_missed=0.05)
    (problem,) = unsupported_elsewhere(policy, y, np.arange(300) % 2)
    assert "300 positive patients of 2: hospitals are few" in problem
    assert unsupported_elsewhere(policy, y, np.arange(300) % 30) == []
    (problem,) = unsupported_elsewhere(TriagePolicy(min_ppv=0.95), y, np.arange(300) % 2)
    assert "for other hospitals by 300 positive patients of 2" in problem
    assert unsupported_elsewhere(TriagePolicy(min_ppv=0.8), y, np.arange(300) % 30) == []
