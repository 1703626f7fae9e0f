"""DeLong's method against published values and against its definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from histodistill.evaluation import delong, delong_test
from histodistill.evaluation.delong import influence
from histodistill.evaluation.runs import variance_of

# Ovarian cancer with bowel obstruction, from DeLong, DeLong and Clarke-Pearson (1988): albumin,
# total protein, K-G score and outcome of the 43 patients who have all three. The expected values
# are those that SAS prints for them (SAS/STAT User's Guide, PROC LOGISTIC, example "Comparing
# Receiver Operating Characteristic Curves").
TABLE = """
3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0
1.6 5.6  5 1  3.8 5.7 5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1
4.3 7.0  4 1  3.6 6.7 4 0  2.3 4.4 6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1
3.0 4.7  8 0  4.5 7.4 5 1  3.7 7.4 5 1  3.1 6.6 6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1
3.2 5.1  5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0  3.7 6.1 5 1  3.3 6.3 7 1  4.2 7.7 6 1
3.5 6.2  5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1  3.3 5.7 6 1  3.7 6.9 5 1
3.6 6.6  5 1
"""
PATIENTS = np.fromstring(TABLE, sep=" ").reshape(-1, 4)
ALBUMIN, PROTEIN, SCORE, OUTCOME = (
    PATIENTS[:, 0],
    PATIENTS[:, 1],
    10 - PATIENTS[:, 2],
    PATIENTS[:, 3],
)


@pytest.mark.parametrize(
    ("test", "auc", "error"),
    [(ALBUMIN, 0.7366, 0.0927), (SCORE, 0.7258, 0.1028), (PROTEIN, 0.6478, 0.1000)],
)
def test_published_areas_and_errors(test: np.ndarray, auc: float, error: float):
    estimates = delong(OUTCOME, test)
    assert estimates.aucs[0] == pytest.approx(auc, abs=5e-5)
    assert estimates.covariance[0, 0] ** 0.5 == pytest.approx(error, abs=5e-5)
    moved = influence(OUTCOME, test)
    assert variance_of(moved, OUTCOME.astype(np.int64)) ** 0.5 == pytest.approx(error, abs=5e-5)


@pytest.mark.parametrize(
    ("test", "difference", "error", "chi_square", "p"),
    [(ALBUMIN, 0.0108, 0.0953, 0.0127, 0.9102), (PROTEIN, -0.0780, 0.1046, 0.5554, 0.4561)],
)
def test_published_paired_tests(
    test: np.ndarray, difference: float, error: float, chi_square: float, p: float
):
    result = delong_test(OUTCOME, test, SCORE)
    assert result.difference == pytest.approx(difference, abs=5e-5)
    assert result.standard_error == pytest.approx(error, abs=5e-5)
    assert result.z**2 == pytest.approx(chi_square, abs=5e-5)
    assert result.p == pytest.approx(p, abs=5e-5)


def test_published_covariance_of_three_tests():
    estimates = delong(OUTCOME, [ALBUMIN, SCORE, PROTEIN])
    contrast = np.array([[1, -1, 0], [0, -1, 1]])
    differences = contrast @ estimates.aucs
    chi_square = differences @ np.linalg.solve(
        contrast @ estimates.covariance @ contrast.T, differences
    )
    assert chi_square == pytest.approx(2.5340, abs=5e-5)


def test_published_ratings_with_many_ties():
    # 109 CT images rated 1 to 5: Hanley and McNeil, Radiology 143 (1982) 29-36. Stata prints the
    # area .8932 and standard error .0307 (Base Reference, roctab).
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.repeat([1, 2, 3, 4, 5] * 2, normal + abnormal)
    y = np.repeat([0, 1], [sum(normal), sum(abnormal)])
    estimates = delong(y, ratings)
    assert estimates.aucs[0] == pytest.approx(0.8932, abs=5e-5)
    assert estimates.covariance[0, 0] ** 0.5 == pytest.approx(0.0307, abs=5e-5)


def by_definition(y: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs and covariance from all pairs of patients, equations 1 to 6 of the paper."""
    cases, controls = scores[:, y == 1], scores[:, y == 0]
    wins = (cases[:, :, None] > controls[:, None, :]) + 0.5 * (
        cases[:, :, None] == controls[:, None, :]
    )
    of_cases, of_controls = wins.mean(axis=2), wins.mean(axis=1)
    covariance = np.cov(of_cases) / cases.shape[1] + np.cov(of_controls) / controls.shape[1]
    return wins.mean(axis=(1, 2)), covariance


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_midranks_equal_the_definition(n_cases: int, n_controls: int, seed: int):
    generator = np.random.default_rng(seed)
    y = generator.permutation(np.repeat([1, 0], [n_cases, n_controls]))
    scores = generator.integers(0, 6, size=(3, len(y))) / 5
    aucs, covariance = by_definition(y, scores)
    estimates = delong(y, scores)
    np.testing.assert_allclose(estimates.aucs, aucs, atol=1e-12)
    np.testing.assert_allclose(estimates.covariance, covariance, atol=1e-12)
    assert estimates.aucs[0] == pytest.approx(roc_auc_score(y, scores[0]))


def test_a_score_against_itself():
    result = delong_test(OUTCOME, ALBUMIN, ALBUMIN)
    assert (result.difference, result.p) == (0, 1)
    assert np.isnan(result.z)


def test_one_patient_of_a_class_has_an_area_but_no_variance():
    y, a, b = [0, 0, 1], [0.1, 0.4, 0.3], [0.2, 0.1, 0.6]
    estimates = delong(y, [a, b])
    assert estimates.aucs.tolist() == [0.5, 1.0]
    assert np.isnan(estimates.covariance).all()
    assert np.isnan(delong_test(y, a, b).p)


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match="patients of both classes"):
        delong([1, 1], [0.2, 0.3])


def test_the_test_keeps_its_level():
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], [40, 40])
    rejected = 0
    for _ in range(400):
        shared = generator.normal(size=80) + y
        rejected += delong_test(y, *(shared + generator.normal(size=(2, 80)))).p < 0.05
    # 20 expected; four standard deviations on either side.
    assert 4 <= rejected <= 38
