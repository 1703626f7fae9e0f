"""Folds of an experiment, by every scheme; who has no label never brings a held-out site in."""

from __future__ import annotations

import pandas as pd
import pytest

from histodistill.cohort import Fold
from histodistill.errors import InputError
from histodistill.experiment import Experiment, ExperimentData, folds_for, load, read_experiment
from histodistill.experiment.folds import extra_patients
from tests.experiment.small import change_table, experiment_file


def opened(cohort, splits) -> tuple[Experiment, ExperimentData]:
    experiment = read_experiment(experiment_file(cohort.parent, {"splits": splits}))
    return experiment, load(experiment)


def parts(fold: Fold) -> tuple[set[str], set[str], set[str]]:
    return set(fold.train), set(fold.validation), set(fold.test)


@pytest.mark.parametrize("scheme", ["stratified", "site"])
def test_every_labelled_patient_is_tested_once_a_repeat(cohort, scheme):
    experiment, data = opened(cohort, {"scheme": scheme, "folds": 2, "repeats": 2})
    folds = folds_for(experiment, data, "ER").folds
    assert [(fold.repeat, fold.index) for fold in folds] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for repeat in (0, 1):
        tested = [p for fold in folds if fold.repeat == repeat for p in fold.test]
        assert sorted(tested) == sorted(data.labels("ER").index)
    for fold in folds:
        train, validation, test = parts(fold)
        assert not train & validation
        assert not train & test
        assert not validation & test
        assert train | validation | test == set(data.labels("ER").index)


def test_the_seed_decides_the_folds(cohort):
    experiment, data = opened(cohort, {"seed": 1})
    again = folds_for(experiment, data, "ER").folds
    assert again == folds_for(experiment, data, "ER").folds
    other, _ = opened(cohort, {"seed": 2})
    assert again != folds_for(other, data, "ER").folds


def test_site_preserved_folds_and_their_extras_share_no_site(cohort):
    experiment, data = opened(cohort, {"scheme": "site", "folds": 2})
    sites = data.clinical.sites
    unlabelled = set(data.patients) - set(data.labels("ER").index)
    taken = set()
    for fold in folds_for(experiment, data, "ER").folds:
        train, validation, test = (set(sites[list(part)]) for part in parts(fold))
        assert not train & validation
        assert not train & test
        assert not validation & test
        extras = extra_patients(experiment, data, data.labels("ER").index, fold)
        taken |= set(extras)
        assert set(extras) == {p for p in unlabelled if sites[p] not in validation | test}
    assert taken  # there are some: the test above is about somebody


def test_extras_of_an_external_fold_come_from_the_other_sites(cohort):
    splits = {"scheme": "external", "external_sites": ["S01"]}
    experiment, data = opened(cohort, splits)
    (fold,) = folds_for(experiment, data, "ER").folds
    sites = data.clinical.sites
    assert set(sites[list(fold.test)]) == {"S01"}
    assert "S01" not in set(sites[[*fold.train, *fold.validation]])
    unlabelled = set(data.patients) - set(data.labels("ER").index)
    extras = extra_patients(experiment, data, data.labels("ER").index, fold)
    assert set(extras) == {p for p in unlabelled if sites[p] != "S01"} != set()


def test_extras_of_an_unknown_site_stay_out_where_sites_are_kept_apart(cohort):
    def without_site(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(SITE=table["SITE"].where(table["ER"] != "", ""))

    change_table(cohort / "clinical.csv", without_site)
    experiment, data = opened(cohort, {"scheme": "site", "folds": 2})
    for fold in folds_for(experiment, data, "ER").folds:
        assert extra_patients(experiment, data, data.labels("ER").index, fold) == []
    plain, _ = opened(cohort, {"scheme": "stratified", "folds": 2})
    fold = folds_for(plain, data, "ER").folds[0]
    assert extra_patients(plain, data, data.labels("ER").index, fold)


def test_a_misspelt_external_site_is_named(cohort):
    experiment, data = opened(cohort, {"scheme": "external", "external_sites": ["S01", "S9"]})
    with pytest.raises(InputError) as refused:
        folds_for(experiment, data, "ER")
    assert refused.value.problems == (
        "target ER: splits.external_sites: no labelled patient comes from S9; the sites are "
        "S01, S02, S03, S04",
    )


def test_site_preserved_folds_need_sites(cohort):
    first = pd.read_csv(cohort / "clinical.csv")["SITE"][0]
    change_table(
        cohort / "clinical.csv",
        lambda table: table.assign(SITE=table["SITE"].where(table["SITE"] != first, "")),
    )
    experiment, data = opened(cohort, {"scheme": "site", "folds": 2})
    with pytest.raises(InputError, match=r"target ER: Site-preserved folds need the site of every"):
        folds_for(experiment, data, "ER")


def write_splits(folder, labels: pd.Series, n_folds: int = 2) -> None:
    """Fold files in the three-way layout."""
    folder.mkdir(parents=True)
    patients = list(labels.index)
    for index in range(n_folds):
        test = patients[index::n_folds]
        rest = [p for p in patients if p not in test]
        columns = {"train": rest[4:], "val": rest[:4], "test": test}
        series = {name: pd.Series(members) for name, members in columns.items()}
        pd.DataFrame(series).to_csv(folder / f"splits_{index}.csv")


def test_folds_from_files_are_those_of_the_target(cohort):
    experiment, data = opened(cohort, {"scheme": "files", "directory": "folds {x}/{target}"})
    write_splits(cohort.parent / "folds {x}" / "ER", data.labels("ER"))
    made = folds_for(experiment, data, "ER")
    patients = list(data.labels("ER").index)
    assert [set(fold.test) for fold in made.folds] == [set(patients[0::2]), set(patients[1::2])]
    assert [len(fold.validation) for fold in made.folds] == [4, 4]
    assert made.notes == ()
    everybody = set(data.patients) - set(patients)
    extras = extra_patients(experiment, data, data.labels("ER").index, made.folds[0])
    assert set(extras) == everybody


def test_another_number_of_folds_than_there_are_files_is_refused(cohort):
    experiment, data = opened(cohort, {"scheme": "files", "directory": "folds", "folds": 3})
    write_splits(cohort.parent / "folds", data.labels("ER"))
    with pytest.raises(InputError, match=r"`splits\.folds` is 3, and the files .* are 2 folds"):
        folds_for(experiment, data, "ER")
    experiment, data = opened(cohort, {"scheme": "files", "directory": "folds", "folds": None})
    assert len(folds_for(experiment, data, "ER").folds) == 2


def test_patients_whom_the_files_miss_are_told(cohort):
    experiment, data = opened(cohort, {"scheme": "files", "directory": "folds"})
    write_splits(cohort.parent / "folds", data.labels("ER").iloc[1:])
    (first, second) = folds_for(experiment, data, "ER").notes
    missed = data.labels("ER").index[0]
    assert first.startswith("target ER: ")
    assert first.endswith(f"labelled patients of the cohort in no fold (1): {missed}.")
    assert second.endswith(f"in no test part (1): {missed}.")


def test_a_patient_who_crosses_is_named(cohort):
    experiment, data = opened(cohort, {"scheme": "files", "directory": "folds"})
    write_splits(cohort.parent / "folds", data.labels("ER"))
    crossing = data.labels("ER").index[0]
    path = cohort.parent / "folds" / "splits_0.csv"
    table = pd.read_csv(path)
    table.loc[0, "train"] = crossing
    table.to_csv(path)
    with pytest.raises(InputError, match=rf"target ER: .*in both train and test: {crossing}"):
        folds_for(experiment, data, "ER")
