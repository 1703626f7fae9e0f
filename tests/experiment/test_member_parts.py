"""The parts that members stop on: who is in which, and folds with too few patients for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from histodistill.cohort import Fold, stratified_folds
from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from histodistill.experiment.audit import audit
from histodistill.experiment.folds import folds_for
from histodistill.experiment.member_parts import member_parts, member_problems
from histodistill.experiment.splits import SplitSettings
from tests.experiment.small import change_table, experiment_file

PATIENTS = [f"P{n:02d}" for n in range(36)]
LABELS = pd.Series([n % 3 == 0 for n in range(36)], PATIENTS, dtype=int)
SITES = pd.Series([f"H{n // 3}" for n in range(36)], PATIENTS)


def problems(folder: Path, **changes: Any) -> list[str]:
    experiment = read_experiment(experiment_file(folder, changes))
    data = load(experiment)
    folds = {name: folds_for(experiment, data, name).folds for name in experiment.targets}
    found = list(member_problems(experiment, data, folds))
    assert [each for each in audit(experiment).problems if "cannot be trained" in each] == found
    return found


@pytest.mark.parametrize("scheme", ["stratified", "site"])
@pytest.mark.parametrize("members", [2, 4])
def test_every_patient_but_those_of_the_test_stops_one_member(scheme: Any, members: int) -> None:
    (fold, *_) = stratified_folds(LABELS, 3, seed=0)
    if scheme == "site":
        everybody = [*PATIENTS[6:]]
        fold = Fold(0, 0, tuple(everybody[6:]), tuple(everybody[:6]), tuple(PATIENTS[:6]))
    parts = member_parts(SplitSettings(scheme=scheme), LABELS, SITES, fold, members)
    taught = {*fold.train, *fold.validation}
    assert len(parts) == members
    assert sorted(p for part in parts for p in part.validation) == sorted(taught)
    for part in parts:
        assert {*part.train, *part.validation} == taught
        assert part.test == fold.test
        if scheme == "site":
            assert not {*SITES[list(part.train)]} & {*SITES[list(part.validation)]}


def test_too_few_of_a_class_are_told_by_its_name() -> None:
    (fold, *_) = stratified_folds(LABELS, 3, seed=0)
    with pytest.raises(InputError) as refused:
        member_parts(SplitSettings(), LABELS, SITES, fold, 9, ("no", "yes"))
    (problem,) = refused.value.problems
    assert problem.startswith(
        "`training.members: 9` divides the training patients like folds: Class 'yes' has 8 "
        "patients, too few for 9 folds"
    )
    assert "Set fewer `members`" in problem


def test_sound_folds_are_no_problem(cohort: Path) -> None:
    members = {"abmil": {"training": {"members": 3}}, "mkd": {"training": {"members": 2}}}
    assert problems(cohort.parent, methods=members) == []
    assert problems(cohort.parent, methods={"abmil": {"training": {"members": 1}}}) == []


def test_few_of_a_class_are_told_for_those_methods_alone(cohort: Path) -> None:
    methods = {name: {"training": {"members": 12}} for name in ("mkd", "clam-sb")}
    (problem,) = problems(cohort.parent, splits={"folds": 3}, methods=methods)
    assert problem.startswith("target ER: clam-sb, mkd cannot be trained on repeat 0 fold 0"), (
        problem
    )
    assert "`training.members: 12`" in problem
    assert "too few for 12 folds" in problem
    assert "abmil" not in problem


def test_few_hospitals_are_told(cohort: Path) -> None:
    splits = {"scheme": "site", "folds": 2}
    (problem,) = problems(
        cohort.parent, splits=splits, methods={"mkd": {"training": {"members": 5}}}
    )
    assert "repeat 0 fold 0 and 1 more: `training.members: 5`" in problem
    assert "5 site-preserved folds need at least 5 sites; there are 2" in problem


def test_folds_that_cannot_be_made_are_told_as_such(cohort: Path) -> None:
    change_table(cohort / "clinical.csv", lambda table: table.assign(SITE="S01"))
    changes = {"splits": {"scheme": "site"}, "methods": {"mkd": {"training": {"members": 5}}}}
    found = audit(read_experiment(experiment_file(cohort.parent, changes))).problems
    assert all("cannot be trained" not in each for each in found)
    assert any("site-preserved folds need at least" in each for each in found)
