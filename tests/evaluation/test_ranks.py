from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from histodistill.evaluation import rank_methods, ranks_table
from histodistill.evaluation.ranks import (
    critical_difference,
    friedman,
    nemenyi_quantile,
    undistinguished,
)


def fits(aucs: dict[str, list[float]], network: str = "student") -> pd.DataFrame:
    """A row a method and fold; NaN for a fit that is not there."""
    rows = [
        {"target": "ER", "network": network, "method": method, "fold": fold, "auc": auc}
        for method, values in aucs.items()
        for fold, auc in enumerate(values)
        if not np.isnan(auc)
    ]
    return pd.DataFrame(rows).assign(seed=0, repeat=0)


def brute_force_ranks(values: np.ndarray) -> np.ndarray:
    """[methods, datasets]: one more than the better ones, ties averaged."""
    better = (values[None] > values[:, None]).sum(axis=1)
    equal = (values[None] == values[:, None]).sum(axis=1) - 1
    return np.asarray(1 + better + equal / 2)


def random_results(k: int, n: int, seed: int) -> np.ndarray:
    """Rounded, so that there are ties."""
    return np.random.default_rng(seed).uniform(0.5, 1, (k, n)).round(1)


@pytest.mark.parametrize("seed", range(3))
def test_mean_ranks_against_brute_force(seed: int):
    values = random_results(6, 8, seed)
    table = fits({f"m{i}": list(row) for i, row in enumerate(values)})
    found = rank_methods(table, "student").mean_ranks
    expected = brute_force_ranks(values).mean(axis=1)
    np.testing.assert_allclose(found[[f"m{i}" for i in range(6)]], expected)
    assert found.is_monotonic_increasing


@pytest.mark.parametrize(("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_quantiles_of_the_published_table(k: int, q: float):
    assert nemenyi_quantile(k) == pytest.approx(q, abs=1e-3)


def test_published_critical_differences():
    # Demšar's worked example: four algorithms on 14 data sets.
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, alpha=0.1) == pytest.approx(1.12, abs=0.005)
    assert np.isnan(critical_difference(1, 14))
    assert np.isnan(critical_difference(4, 1))


@pytest.mark.parametrize("seed", range(3))
def test_friedman_against_scipy_and_the_published_formula(seed: int):
    values = random_results(5, 7, seed)
    expected = stats.friedmanchisquare(*values)
    test = friedman(pd.DataFrame(values))
    chi = expected.statistic
    assert (test.chi_squared, test.p_chi_squared) == pytest.approx((chi, expected.pvalue))
    assert test.f == pytest.approx(6 * chi / (7 * 4 - chi))
    assert test.p == pytest.approx(stats.f.sf(test.f, 4, 24))


def test_a_small_example_by_hand():
    # Ranks (1 2 3) (1 2 3) (2 1 3) (1 3 2): means 1.25, 2, 2.75; chi-squared
    # 4 * (1.25² + 2² + 2.75² - 12) = 4.5; F = 3 * 4.5 / (8 - 4.5).
    table = fits({"c": [0.7, 0.7, 0.7, 0.8], "a": [0.9, 0.9, 0.8, 0.9], "b": [0.8, 0.8, 0.9, 0.7]})
    ranking = rank_methods(table, "student")
    assert ranking.mean_ranks.to_dict() == {"a": 1.25, "b": 2.0, "c": 2.75}
    assert ranking.friedman.chi_squared == pytest.approx(4.5)
    assert ranking.friedman.f == pytest.approx(13.5 / 3.5)
    # The critical difference is 2.343 * sqrt(12 / 24) = 1.66.
    assert ranking.critical_difference == pytest.approx(1.657, abs=1e-3)
    assert ranking.groups == (("a", "b", "c"),)


def test_datasets_that_all_agree_leave_no_doubt():
    table = fits({"a": [0.9] * 4, "b": [0.8] * 4, "c": [0.7] * 4})
    test = rank_methods(table, "student").friedman
    assert test.chi_squared == pytest.approx(8)
    assert (test.f, test.p) == (np.inf, 0)


def test_methods_that_are_all_alike_are_not_tested():
    ranking = rank_methods(fits({name: [0.8, 0.9] for name in "abc"}), "student")
    assert ranking.mean_ranks.to_list() == [2, 2, 2]
    assert np.isnan(ranking.friedman.p)
    assert ranking.groups == (("a", "b", "c"),)


def test_groups_that_do_not_differ():
    ranks = pd.Series({"a": 1.0, "b": 2.0, "c": 3.0, "d": 5.0})
    assert undistinguished(ranks, 1.5) == (("a", "b"), ("b", "c"))
    # A difference equal to the critical one counts as different.
    assert undistinguished(ranks, 1.0) == ()
    assert undistinguished(ranks, 9.0) == (("a", "b", "c", "d"),)
    assert undistinguished(ranks, float("nan")) == ()


@pytest.mark.parametrize("seed", range(3))
def test_groups_against_brute_force(seed: int):
    values = np.sort(np.random.default_rng(seed).uniform(1, 12, 12))
    ranks = pd.Series(values, index=[f"m{i:02d}" for i in range(12)])
    within = [
        frozenset(ranks.index[i : j + 1])
        for i in range(12)
        for j in range(i + 1, 12)
        if values[j] - values[i] < 2.5
    ]
    largest = {group for group in within if not any(group < other for other in within)}
    assert {frozenset(group) for group in undistinguished(ranks, 2.5)} == largest


def test_seeds_are_averaged_before_ranking():
    low, high = fits({"a": [0.6, 0.6], "b": [0.7, 0.7]}), fits({"a": [0.9, 0.9], "b": [0.7, 0.7]})
    ranking = rank_methods(pd.concat([low, high.assign(seed=1)]), "student")
    assert ranking.n_datasets == 2
    assert ranking.mean_ranks.to_dict() == {"a": 1, "b": 2}


def test_targets_repeats_and_folds_are_datasets_and_networks_are_apart():
    table = fits({"a": [0.9, 0.8], "b": [0.7, 0.9]})
    tables = [table, table.assign(repeat=1), table.assign(target="PR")]
    genomic = fits({"c": [0.9, 0.9]}, network="genomic")
    ranking = rank_methods(pd.concat([*tables, genomic]), "student")
    assert ranking.n_datasets == 6
    assert ranking.mean_ranks.to_dict() == {"a": 1.5, "b": 1.5}


def test_a_method_that_lacks_a_fold_is_left_out_and_named():
    lacking = float("nan")
    table = fits({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, 0.6], "c": [0.7, lacking, 0.9]})
    ranking = rank_methods(table, "student")
    assert ranking.left_out == {"c": ("ER, fold 1",)}
    assert ranking.mean_ranks.to_dict() == pytest.approx({"a": 4 / 3, "b": 5 / 3})
    row = ranks_table([ranking]).set_index("method").loc["c"]
    assert np.isnan(row["mean_rank"])
    assert row["notes"] == "lacks 1 datasets"


def test_a_dataset_that_few_have_is_left_out_and_named():
    lacking = float("nan")
    table = fits({"a": [0.9, 0.8, 0.7], "b": [0.8, 0.9, lacking], "c": [0.7, 0.7, lacking]})
    ranking = rank_methods(pd.concat([table, table.assign(repeat=1)]), "student")
    assert ranking.left_out == {}
    assert ranking.datasets_left_out == ("ER, repeat 0, fold 2", "ER, repeat 1, fold 2")
    assert ranking.n_datasets == 4


def test_one_method_alone():
    ranking = rank_methods(fits({"a": [0.9, 0.8]}), "student")
    assert ranking.mean_ranks.to_dict() == {"a": 1}
    assert np.isnan(ranking.critical_difference)
    assert ranking.groups == ()


def test_ranks_table():
    ranking = rank_methods(fits({"a": [0.9] * 9, "b": [0.8] * 9, "c": [0.7] * 9}), "student")
    table = ranks_table([ranking]).set_index("method")
    assert table["mean_rank"].to_dict() == {"a": 1, "b": 2, "c": 3}
    assert table["groups"].to_dict() == {"a": "a", "b": "ab", "c": "b"}
    assert set(table["n_datasets"]) == {9}
    assert set(table["p_iman_davenport"]) == {0}
