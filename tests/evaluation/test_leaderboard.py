from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.evaluation import (
    Answers,
    Runs,
    auc_difference,
    build_leaderboard,
    check_predictions,
    compare,
    contenders_in,
    evaluate,
    fold_aucs,
    holm,
)
from histodistill.evaluation.leaderboard import places
from tests.evaluation.simulated import three_class, two_class

KEY = ["target", "network", "method"]
METHODS = (("abmil", 1.0), ("mkd", 2.0), ("clam", 1.4))


def several() -> pd.DataFrame:
    tables = [
        two_class(methods=METHODS, seeds=(0, 1), networks=("student", "genomic"), target=target)
        for target in ("ER", "PR")
    ]
    return pd.concat(tables, ignore_index=True)


def costs(predictions: pd.DataFrame) -> pd.DataFrame:
    fits = fold_aucs(predictions)
    seconds = 10.0 + fits["fold"]
    return fits.assign(parameters=1000, training_seconds=seconds, inference_ms=2.0)


def row_of(table: pd.DataFrame, *names: str) -> dict[str, Any]:
    """The row of a target, network and method."""
    (row,) = table[(table[KEY] == list(names)).all(axis=1)].to_dict("records")
    return {str(name): value for name, value in row.items()}


def three_methods_of_three_classes() -> pd.DataFrame:
    mkd = three_class()
    names = ["Basal", "LumA", "LumB"]
    guess = mkd.assign(method="guess", **{f"student:{name}": 1 / 3 for name in names})
    blurred = mkd.assign(
        method="blurred", **{f"student:{n}": 0.6 / 3 + 0.4 * mkd[f"student:{n}"] for n in names}
    )
    return pd.concat([mkd, guess, blurred], ignore_index=True)


def test_the_figures_are_those_of_the_evaluation():
    table = several()
    summary = evaluate(table, n_resamples=2).summary
    expected = summary[summary["metric"] == "auc"].set_index(KEY).sort_index()
    precision = summary[summary["metric"] == "average_precision"].set_index(KEY).sort_index()
    found = build_leaderboard(table).results.set_index(KEY).sort_index()
    pairs = {
        "fold_auc": expected["mean"],
        "fold_auc_sd": expected["sd"],
        "n_fits": expected["n_models"],
        "auc": expected["estimate"],
        "low": expected["low"],
        "high": expected["high"],
        "n_patients": expected["n_patients"],
        "n_positive": expected["n_positive"],
        "average_precision": precision["estimate"],
    }
    for name, values in pairs.items():
        pd.testing.assert_series_equal(found[name], values, check_names=False, check_dtype=False)
    assert set(found["n_seeds"]) == {2}
    assert set(found["n_folds"]) == {5}


def test_the_tests_are_those_of_the_comparison_and_one_family():
    table = several()
    board = build_leaderboard(table, reference="abmil")
    assert board.references == {"student": "abmil", "genomic": "abmil"}
    tests = board.comparisons
    assert len(tests) == 8
    np.testing.assert_allclose(tests["p_holm"], holm(tests["p_delong"]))
    for network in ("student", "genomic"):
        contenders = [c for c in contenders_in(table) if c.network == network]
        expected = compare(contenders, f"abmil {network}", n_resamples=2)
        of_network = tests[tests["network"] == network].sort_values(["method", "target"])
        expected = expected.sort_values(["contender", "target"])
        for name in ("auc", "auc_reference", "difference", "p_delong", "n_patients"):
            np.testing.assert_allclose(of_network[name], expected[name])
    row = row_of(board.results, "PR", "genomic", "mkd")
    test = row_of(tests, "PR", "genomic", "mkd")
    assert (row["difference"], row["difference_low"], row["p_holm"]) == (
        *(test["difference"], test["low"], test["p_holm"]),
    )
    assert board.results.query("method == 'abmil'")["difference"].isna().all()


def test_the_interval_of_a_difference_agrees_with_the_bootstrap():
    table = two_class(n=300)
    quick = build_leaderboard(table, reference="abmil").comparisons.iloc[0]
    slow = compare(contenders_in(table), "abmil student").iloc[0]
    assert (quick["low"], quick["high"]) == pytest.approx((slow["low"], slow["high"]), abs=0.01)


def test_a_difference_on_the_patients_that_both_answer():
    table = several()
    table.loc[(table["method"] == "mkd") & (table["PATIENT"] < "P010"), "student"] = np.nan
    board = build_leaderboard(check_predictions(table, "x"), reference="abmil")
    row = row_of(board.comparisons, "ER", "student", "mkd")
    assert row["n_patients"] == 50
    assert row["notes"] == "10 patients that one alone answers left out"
    mkd, clam = (row_of(board.results, "ER", "student", name) for name in ("mkd", "clam"))
    assert (mkd["notes"], clam["notes"]) == ("50 patients where others have 60", "")


def test_no_difference_where_no_auc_is_defined():
    positives = Answers.two_class([1, 1], [0.2, 0.7])
    alone, others = (
        Runs.joined([answers], answers.classes, 1)
        for answers in (positives, Answers.two_class([0, 1], [0.2, 0.7]))
    )
    assert np.isnan(auc_difference(alone, alone).difference)
    strangers = Answers(("x", "y"), np.array([0, 1]), *_probabilities(), np.full(2, np.nan))
    nobody = auc_difference(Runs.joined([strangers], strangers.classes, 1), others)
    assert (nobody.n_patients, np.isnan(nobody.p_delong)) == (0, True)


def _probabilities() -> tuple[np.ndarray, tuple[str, str]]:
    return np.array([[0.8, 0.2], [0.3, 0.7]]), ("negative", "positive")


def test_flags_of_the_best_and_ties():
    table = two_class(methods=METHODS)
    twin = table[table["method"] == "mkd"].assign(method="twin")
    results = build_leaderboard(pd.concat([table, twin])).results.set_index("method")
    assert results["best"].to_dict() == {"abmil": False, "mkd": True, "clam": False, "twin": True}
    others = results.loc[["abmil", "clam"], "fold_auc"]
    assert list(results.index[results["second_best"]]) == [others.idxmax()]
    ranks = results["mean_rank"].to_dict()
    assert ranks["mkd"] == ranks["twin"]


def test_places_by_printed_digits_with_gaps_and_alone():
    values = pd.Series([0.8001, 0.7999, 0.7, np.nan, 0.6])
    assert places(values).to_list() == [1, 1, 2, 0, 0]
    assert places(values, smaller_is_better=True).to_list() == [0, 0, 2, 0, 1]
    assert places(pd.Series([0.9, np.nan])).to_list() == [0, 0]


def test_costs_are_averaged_and_may_be_missing():
    table = several()
    known = costs(table)
    known = known[~((known["method"] == "clam") | (known["fold"] == 4))]
    known.loc[known["fold"] == 0, "inference_ms"] = 500.0
    results = build_leaderboard(table, known).results
    row = row_of(results, "ER", "student", "mkd")
    assert (row["parameters"], row["training_seconds"], row["inference_ms"]) == (1000, 11.5, 2)
    clam = results[results["method"] == "clam"]
    assert clam["parameters"].isna().all()
    assert clam["inference_ms"].isna().all()
    for nothing in (None, known.iloc[:0], pd.DataFrame()):
        assert build_leaderboard(table, nothing).results["training_seconds"].isna().all()


def test_impossible_costs():
    table = two_class()
    with pytest.raises(InputError, match=r"column\(s\) parameters, inference_ms are missing"):
        build_leaderboard(table, costs(table).drop(columns=["parameters", "inference_ms"]))
    with pytest.raises(InputError, match=r"column\(s\) training_seconds hold what is not a num"):
        build_leaderboard(table, costs(table).assign(training_seconds="fast"))


def test_a_reference_by_network():
    table = several()
    board = build_leaderboard(table, reference={"student": "clam"})
    assert set(board.comparisons["network"]) == {"student"}
    assert set(board.comparisons["method"]) == {"abmil", "mkd"}


def test_impossible_references():
    table = two_class()
    with pytest.raises(InputError, match="The reference clam is not among the methods abmil, mkd"):
        build_leaderboard(table, reference="clam")
    with pytest.raises(InputError) as caught:
        build_leaderboard(table, reference={"student": "clam", "genomic": "mkd"})
    assert caught.value.problems == (
        "The reference clam of student is not among the methods that answer as student: "
        "abmil, mkd.",
        "The reference mkd of genomic is not among the methods that answer as genomic: "
        "there are none.",
    )


def test_a_target_without_the_reference_is_not_compared():
    table = several()
    table = table[~((table["target"] == "PR") & (table["method"] == "abmil"))]
    board = build_leaderboard(table, reference="abmil")
    assert set(board.comparisons["target"]) == {"ER"}
    assert board.rankings[0].left_out.keys() == {"abmil"}


def test_one_method_alone():
    board = build_leaderboard(two_class(methods=[("mkd", 1.0)]), reference="mkd")
    (row,) = board.results.to_dict("records")
    assert (row["best"], row["second_best"], row["mean_rank"]) == (False, False, 1)
    assert board.comparisons.empty


def test_a_method_with_fewer_fits_is_evaluated_and_noted():
    table = two_class(methods=METHODS, seeds=(0, 1))
    table = table[~((table["method"] == "clam") & (table["fold"] > 2))]
    board = build_leaderboard(table, reference="abmil")
    row = board.results.set_index("method").loc["clam"]
    assert row["n_fits"] == 6
    assert row["notes"] == "6 fits where others have 10; 36 patients where others have 60"
    assert np.isnan(row["mean_rank"])
    assert board.comparisons.set_index("method").loc["clam", "n_patients"] == 36


def test_three_classes_are_bootstrapped():
    table = three_methods_of_three_classes()
    board = build_leaderboard(table, reference="guess", n_resamples=200, seed=1)
    contenders = contenders_in(table)
    expected = compare(contenders, "guess student", n_resamples=200, seed=1)
    found = board.comparisons
    for name in ("difference", "low", "high", "p_bootstrap", "p_holm"):
        np.testing.assert_allclose(found[name], expected[name])
    assert found["p_delong"].isna().all()
    results = board.results.set_index("method")
    assert results["n_positive"].isna().all()
    summary = evaluate(table, n_resamples=200, seed=1).summary
    auc = summary[summary["metric"] == "auc"].set_index("method")
    np.testing.assert_allclose(results["low"], auc["low"])


def test_targets_of_two_and_of_three_classes_together():
    table = pd.concat([two_class(), three_methods_of_three_classes()], ignore_index=True)
    board = build_leaderboard(table, reference={"student": "mkd"}, n_resamples=50)
    tests = board.comparisons.set_index(["target", "method"])
    assert set(tests.index) == {("ER", "abmil"), ("PAM50", "guess"), ("PAM50", "blurred")}
    assert tests["p_holm"].notna().all()


def test_a_target_of_one_class_has_no_figures():
    table = two_class().query("label == 'positive'")
    board = build_leaderboard(table, reference="abmil")
    assert board.results[["auc", "low", "fold_auc", "mean_rank"]].isna().all(axis=None)
    assert not board.results["best"].any()
    assert board.comparisons["p_holm"].isna().all()
