from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.evaluation import (
    Contender,
    answers_of,
    compare,
    contenders_in,
    delong,
    holm,
    score,
)
from histodistill.evaluation.delong import paired_test
from tests.evaluation.simulated import three_class, two_class

CLASSES = ("negative", "positive")


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, then never decreasing.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.9, 0.6]), [1, 1])
    np.testing.assert_allclose(holm([np.nan, 0.02, 0.01]), [np.nan, 0.02, 0.02])
    assert holm([]).size == 0


def test_a_row_holds_the_pooled_difference_and_its_tests():
    table = two_class(seeds=(0, 1, 2))
    row = compare(contenders_in(table), "abmil student").iloc[0]
    runs = [
        [answers_of(run, "student", CLASSES) for _, run in rows.groupby("seed")]
        for name in ("mkd", "abmil")
        for rows in [table[table["method"] == name]]
    ]
    y = runs[0][0].y
    estimates = delong(y, [run.positive for side in runs for run in side])
    contrast = np.repeat([1 / 3, -1 / 3], 3)
    expected = paired_test(
        float(contrast @ estimates.aucs), float(contrast @ estimates.covariance @ contrast)
    )
    assert row["contender"] == "mkd student"
    assert row["reference"] == "abmil student"
    assert row["n_patients"] == 60
    assert (row["n_positive"], row["n_models"], row["n_models_reference"]) == (40, 15, 15)
    assert row["auc"] == pytest.approx(np.mean(estimates.aucs[:3]))
    assert row["difference"] == pytest.approx(expected.difference)
    assert row["p_delong"] == pytest.approx(expected.p)
    assert row["p_holm"] == row["p_delong"]
    assert row["low"] < row["difference"] < row["high"]
    assert 0 < row["p_bootstrap"] < 0.05
    assert row["notes"] == ""
    of_folds = [
        score(answers_of(part, "student", CLASSES)).metrics["auc"]
        for _, part in table[table["method"] == "mkd"].groupby(["seed", "fold"])
    ]
    assert row["fold_auc"] == pytest.approx(np.mean(of_folds))


def test_holm_covers_all_rows_of_the_table():
    methods = (("abmil", 1.0), ("mkd", 2.0), ("clam", 1.3))
    both = pd.concat([two_class(methods=methods), two_class(methods=methods, target="PR")])
    table = compare(contenders_in(both), "abmil student")
    assert len(table) == 4
    np.testing.assert_allclose(table["p_holm"], holm(table["p_delong"]))


def test_a_method_does_not_gain_from_seeds():
    """Copies of a seed change nothing: not the AUC, not the difference, not its test."""
    one = two_class()
    copies = one[one["method"] == "mkd"]
    three = pd.concat([one, copies.assign(seed=1), copies.assign(seed=2)])
    first, again = (compare(contenders_in(t), "abmil student").iloc[0] for t in (one, three))
    names = ["auc", "difference", "low", "high", "p_delong", "p_bootstrap", "fold_auc"]
    np.testing.assert_allclose(first[names].astype(float), again[names].astype(float))
    assert (first["n_models"], again["n_models"]) == (5, 15)


def test_a_method_against_itself_shows_no_difference():
    table = two_class(methods=[("mkd", 1.0)])
    twice = [Contender("a", table, "student"), Contender("b", table, "student")]
    row = compare(twice, "b").iloc[0]
    assert (row["difference"], row["p_delong"], row["p_bootstrap"]) == (0, 1, 1)


def test_the_same_seed_gives_the_same_table():
    contenders = contenders_in(two_class())
    first, again = (compare(contenders, "abmil student", seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)


def test_three_classes_are_compared_by_bootstrap_alone():
    table = three_class()
    guess = table.assign(**{f"student:{name}": 1 / 3 for name in ("Basal", "LumA", "LumB")})
    contenders = [Contender("mkd", table, "student"), Contender("guess", guess, "student")]
    row = compare(contenders, "guess").iloc[0]
    assert row["auc_reference"] == 0.5
    assert np.isnan(row["p_delong"])
    assert row["p_holm"] == row["p_bootstrap"] < 0.05


def test_a_missing_class_is_noted():
    table = two_class().query("label == 'positive'")
    row = compare(contenders_in(table), "abmil student").iloc[0]
    assert np.isnan(row[["auc", "p_delong", "p_bootstrap", "p_holm"]].astype(float)).all()
    assert row["notes"] == "every patient is positive"


def differing() -> list[Contender]:
    table = two_class(n=12)
    dropped = (table["method"] == "mkd") & table["PATIENT"].isin(["P001", "P004"])
    dropped |= (table["method"] == "abmil") & (table["PATIENT"] == "P005")
    return contenders_in(table[~dropped])


def test_different_patients_are_an_error():
    with pytest.raises(InputError) as caught:
        compare(differing(), "abmil student")
    assert str(caught.value) == (
        "ER: mkd student and abmil student answer different patients: 1 only by the first, 2 only "
        "by the second (P005, P001, P004). Ask for the common patients to compare on those that "
        "both answer."
    )


def test_common_patients_on_request():
    row = compare(differing(), "abmil student", common_patients=True).iloc[0]
    assert row["n_patients"] == 9
    assert row["notes"].startswith("3 patients that one alone answers left out; only 4 negative")


def test_all_problems_are_named_at_once():
    table = two_class(n=12)
    other = table.assign(label=np.where(table["label"] == "positive", "negative", "positive"))
    contenders = [
        Contender("reference", table[table["method"] == "abmil"], "student"),
        Contender("torn", other[other["method"] == "mkd"], "student"),
        Contender("elsewhere", two_class(target="PR"), "student"),
        Contender("silent", table[table["method"] == "mkd"], "genomic"),
    ]
    with pytest.raises(InputError) as caught:
        compare(contenders, "reference")
    torn, elsewhere, silent = caught.value.problems
    assert torn.startswith("ER: torn and reference disagree about the label of patient(s) P000")
    assert elsewhere == "elsewhere and reference have no target in common."
    assert silent == "ER: silent and reference answer no labelled patient in common."


def test_names():
    contenders = contenders_in(two_class(), prefix="A: ")
    assert [c.name for c in contenders] == ["A: abmil student", "A: mkd student"]
    with pytest.raises(InputError, match="The reference mkd is not among the contenders A: abmil"):
        compare(contenders, "mkd")
    with pytest.raises(InputError, match=r"The name\(s\) A: abmil student belong to several"):
        compare([*contenders, contenders[0]], "A: mkd student")
    with pytest.raises(InputError, match="nothing to compare with A: abmil student"):
        compare(contenders[:1], "A: abmil student")
