import dataclasses
from collections import Counter

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from histodistill.cohort import (
    Fold,
    check_folds,
    external_fold,
    fold_table,
    site_preserved_folds,
    stratified_folds,
)
from histodistill.errors import InputError


def series(values, prefix="P"):
    names = [f"{prefix}{number:03d}" for number in range(len(values))]
    return pd.Series(list(values), index=names, dtype="Int64")


def counts(labels, patients):
    return Counter(labels[list(patients)].tolist())


def message(call, *arguments, **options):
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    return str(caught.value)


LABELS = series([0, 1] * 10)
SITES = pd.Series([f"S{number // 4}" for number in range(20)], index=LABELS.index)

cohorts = st.lists(st.integers(6, 40), min_size=2, max_size=4)


@settings(max_examples=25, deadline=None)
@given(
    sizes=cohorts,
    n_folds=st.integers(2, 6),
    share=st.floats(0.05, 0.6),
    repeats=st.integers(1, 2),
    seed=st.integers(0, 2**31),
)
def test_stratified_folds_are_balanced_everywhere(sizes, n_folds, share, repeats, seed):
    labels = series([label for label, size in enumerate(sizes) for _ in range(size)])
    folds = stratified_folds(labels, n_folds, validation=share, repeats=repeats, seed=seed)
    assert [(fold.repeat, fold.index) for fold in folds] == [
        (repeat, index) for repeat in range(repeats) for index in range(n_folds)
    ]
    for repeat in range(repeats):
        tests = [fold.test for fold in folds if fold.repeat == repeat]
        assert sorted(patient for test in tests for patient in test) == list(labels.index)
        assert max(map(len, tests)) - min(map(len, tests)) <= 1
    for fold in folds:
        parts = [fold.train, fold.validation, fold.test]
        assert sorted(sum(parts, ())) == list(labels.index)
        assert all(list(part) == sorted(part) for part in parts)
        tested, held = counts(labels, fold.test), counts(labels, fold.validation)
        for label, size in enumerate(sizes):
            rest = size - tested[label]
            assert abs(tested[label] - size / n_folds) < 1
            assert abs(held[label] - share * rest) <= 0.5 or held[label] in (1, rest - 1)
            assert 1 <= held[label] < rest


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(list(LABELS.index)), seed=st.integers(0, 1000))
def test_folds_depend_on_the_patients_not_on_their_order(order, seed):
    assert stratified_folds(LABELS[order], 4, seed=seed) == stratified_folds(LABELS, 4, seed=seed)
    assert site_preserved_folds(LABELS[order], SITES, 3, seed=seed) == site_preserved_folds(
        LABELS, SITES[order], 3, seed=seed
    )


def test_the_seed_and_the_repeat_decide():
    assert stratified_folds(LABELS, 4, seed=1) == stratified_folds(LABELS, 4, seed=1)
    assert stratified_folds(LABELS, 4, seed=1) != stratified_folds(LABELS, 4, seed=2)
    folds = stratified_folds(LABELS, 4, repeats=2, seed=1)
    assert folds[:4] == stratified_folds(LABELS, 4, seed=1)
    assert [fold.test for fold in folds[:4]] != [fold.test for fold in folds[4:]]


@settings(max_examples=20, deadline=None)
@given(
    patients=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=8, max_size=60),
    n_folds=st.integers(2, 4),
    seed=st.integers(0, 1000),
)
def test_no_site_crosses(patients, n_folds, seed):
    labels = series([label for label, _ in patients])
    sites = pd.Series([f"S{site}" for _, site in patients], index=labels.index)
    assume(labels.nunique() == 2)
    assume(sites.nunique() >= (4 if n_folds == 2 else n_folds))
    refusal, folds = "", []
    try:
        folds = site_preserved_folds(labels, sites, n_folds, seed=seed)
    except InputError as error:
        refusal = str(error)
    if refusal:
        # A site that outweighs all others may leave no room beside one of two folds.
        assert n_folds == 2
        assert "leaves sites for training and for validation beside each" in refusal
        return
    assert sorted(patient for fold in folds for patient in fold.test) == list(labels.index)
    for fold in folds:
        used = [set(sites[list(part)]) for part in (fold.train, fold.validation, fold.test)]
        assert all(used)
        assert sum(map(len, used)) == sites.nunique()
        assert len(fold.train) + len(fold.validation) + len(fold.test) == len(labels)


def test_sites_that_divide_evenly_give_even_folds():
    labels = series([0, 0, 0, 1] * 12)
    sites = pd.Series([f"S{number // 4}" for number in range(48)], index=labels.index)
    for fold in site_preserved_folds(labels, sites, 4, validation=1 / 3, seed=0):
        assert counts(labels, fold.test) == {0: 9, 1: 3}
        assert counts(labels, fold.validation) == {0: 9, 1: 3}
        assert counts(labels, fold.train) == {0: 18, 1: 6}


def test_repeats_of_site_preserved_folds_are_different_divisions():
    labels = series([0, 1, 1] * 20)
    sites = pd.Series([f"S{number // 5}" for number in range(60)], index=labels.index)
    folds = site_preserved_folds(labels, sites, 3, repeats=4, seed=0)
    divisions = {
        frozenset(fold.test for fold in folds if fold.repeat == repeat) for repeat in range(4)
    }
    assert len(divisions) == 4


def test_a_class_that_lives_at_one_site_is_no_crash_and_shows_in_the_table():
    labels = series([1, 1, 0, 0, 0, 0, 0, 0])
    sites = pd.Series(list("aabbccdd"), index=labels.index)
    table = fold_table(site_preserved_folds(labels, sites, 4, seed=0), labels, ("neg", "pos"))
    assert sorted(table.loc[table["part"] == "test", "pos"]) == [0, 0, 0, 2]


def test_an_external_cohort_is_the_test_part():
    fold = external_fold(LABELS, ["Z2", "Z1"], validation=0.3, seed=0)
    assert fold.test == ("Z1", "Z2")
    assert counts(LABELS, fold.validation) == {0: 3, 1: 3}
    assert sorted(fold.train + fold.validation) == list(LABELS.index)
    assert fold == external_fold(LABELS[::-1], {"Z1", "Z2"}, validation=0.3, seed=0)


def test_patients_of_both_cohorts_are_refused():
    assert message(external_fold, LABELS, ["Z1", "P003", "P001"], seed=0) == (
        "Patients of the external cohort are among the development patients: P001, P003."
    )
    assert message(external_fold, LABELS, [], seed=0) == "Fold 0 of repeat 0 has no test patients."


def test_settings_out_of_range_are_all_told():
    for call in (
        stratified_folds,
        lambda labels, k, **o: site_preserved_folds(labels, SITES, k, **o),
    ):
        assert message(call, LABELS, 1, validation=1.0, repeats=0, seed=-1).splitlines() == [
            "Cross-validation needs at least 2 folds, not 1.",
            "The validation share must lie between 0 and 1, not 1.0: it stops the training and "
            "sets the threshold.",
            "Cross-validation needs at least 1 repeat, not 0.",
            "The seed must be 0 or more, not -1.",
        ]
    assert "The validation share must lie between 0 and 1, not 0" in message(
        external_fold, LABELS, ["Z"], validation=0, seed=0
    )


def test_labels_that_cannot_be_split():
    twice = pd.concat([LABELS, LABELS[:1]])
    unknown = LABELS.mask(LABELS.index == "P002")
    for call in (
        lambda labels: stratified_folds(labels, 3, seed=0),
        lambda labels: site_preserved_folds(labels, SITES, 3, seed=0),
        lambda labels: external_fold(labels, ["Z"], seed=0),
    ):
        assert "Patients with more than one label: P000." in message(call, twice)
        assert "Patients without a label cannot be in a fold: P002." in message(call, unknown)
        assert "are all of one class; there is nothing to learn." in message(call, LABELS * 0)


def test_a_class_smaller_than_the_number_of_folds():
    labels = series([0] * 9 + [1] * 2 + [2] * 4)
    assert message(stratified_folds, labels, 5, seed=0).splitlines() == [
        "Class 1 has 2 patients, too few for 5 folds; use fewer folds.",
        "Class 2 has 4 patients, too few for 5 folds; use fewer folds.",
    ]


def test_sites_that_cannot_be_preserved():
    unknown = SITES.mask(SITES.index == "P004").drop("P007")
    assert "it is unknown for P004, P007. Name the column with the site" in message(
        site_preserved_folds, LABELS, unknown, 3, seed=0
    )
    assert message(site_preserved_folds, LABELS, SITES, 6, seed=0) == (
        "6 site-preserved folds need at least 6 sites; there are 5. "
        "Use fewer folds, or stratified folds."
    )
    two = SITES.map(lambda site: min(site, "S1"))
    assert "2 site-preserved folds need at least 4 sites; there are 2." in message(
        site_preserved_folds, LABELS, two, 2, seed=0
    )
    assert message(site_preserved_folds, LABELS, SITES, 5, repeats=2, seed=0) == (
        "The repeats must be 1 or less: no more different divisions of these 5 sites into 5 folds "
        "were found."
    )


GOOD = Fold(0, 0, ("a", "b"), ("c",), ("d", "e"))
NEXT = Fold(1, 0, ("d", "e"), ("c",), ("a", "b"))


def test_good_folds_pass_the_audit():
    check_folds([GOOD, NEXT, dataclasses.replace(GOOD, repeat=1)])
    check_folds([GOOD, NEXT], sites=pd.Series(dict(zip("abcde", "11233", strict=True))))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"train": ("a", "c")}, "has patients in both train and validation: c."),
        ({"train": ("a", "d", "e")}, "has patients in both train and test: d, e."),
        ({"validation": ("d",)}, "has patients in both validation and test: d."),
        ({"test": ()}, "has no test patients."),
        ({"validation": ()}, "has no validation patients."),
        ({"train": ()}, "has no train patients."),
        ({"train": ("a", "a")}, "has train patients twice: a."),
    ],
)
def test_the_audit_finds_the_patients_who_cross(change, problem):
    bad = dataclasses.replace(GOOD, index=2, repeat=3, **change)
    assert message(check_folds, [GOOD, bad]) == f"Fold 2 of repeat 3 {problem}"


def test_the_audit_finds_patients_tested_twice_in_a_repeat():
    assert message(check_folds, [GOOD, dataclasses.replace(GOOD, index=1)]) == (
        "Folds 0 and 1 of repeat 0 test the same patients: d, e."
    )


def test_the_audit_finds_sites_that_cross():
    crossing = pd.Series(dict(zip("abcde", "12234", strict=True)))
    assert message(check_folds, [GOOD], sites=crossing) == (
        "Fold 0 of repeat 0 has sites in both train and validation: 2."
    )
    tested_twice = pd.Series(dict(zip("abcde", "12345", strict=True))).replace({"5": "1"})
    found = message(check_folds, [GOOD, NEXT], sites=tested_twice)
    assert "Folds 0 and 1 of repeat 0 test the same sites: 1." in found
    assert "Fold 0 of repeat 0 has sites in both train and test: 1." in found
    unknown = pd.Series({"a": "1", "b": "1", "d": None})
    assert message(check_folds, [GOOD], sites=unknown) == "The site is unknown for c, d, e."


def test_the_table_counts_every_part():
    labels = pd.Series({"a": 0, "b": 1, "c": 1, "d": None}, dtype="Int64")
    table = fold_table([GOOD], labels, ("neg", "pos"))
    assert table.to_dict("list") == {
        "repeat": [0, 0, 0],
        "fold": [0, 0, 0],
        "part": ["train", "validation", "test"],
        "patients": [2, 1, 2],
        "neg": [1, 0, 0],
        "pos": [1, 1, 0],
        "unlabelled": [0, 0, 2],
    }
