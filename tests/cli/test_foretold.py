"""What a cross-validation will refuse is told before it trains, and stops nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command_line import fail, run, succeed
from tests.experiment.small import NETWORK, experiment_file

MANY = {"recipe": "linear", "training": {"members": 16}}
ONE = {"network": NETWORK}


def written(cohort: Path, **changes: object) -> Path:
    base: dict[str, object] = {
        "genomics": None,
        "methods": {"abmil": ONE, "mkd": None, "many": MANY},
        "baselines": [],
        "splits": {"folds": 3},
    }
    return experiment_file(cohort.parent, {**base, **changes})


def test_the_audit_refuses_what_crossval_cannot_train(cohort: Path) -> None:
    (problem,) = fail("audit", written(cohort))
    assert "target ER: many cannot be trained on repeat 0 fold 0" in problem
    assert "Set fewer `members`" in problem


def test_crossval_tells_before_it_trains_and_trains_all_else(cohort: Path) -> None:
    experiment = written(cohort)
    planned = run("crossval", experiment, "--dry-run")
    assert planned.exit_code == 0
    assert "Problem: target ER: many cannot be trained" in planned.stderr
    result = run("crossval", experiment)
    assert result.exit_code == 1
    assert result.stderr.index("Problem: target ER: many cannot be") < result.stderr.index(
        "3 of 6 trainings failed"
    )
    fits = cohort.parent / "results" / "fits" / "ER"
    assert len(list(fits.glob("abmil/seed-0/*/predictions.csv"))) == 3
    assert not list(fits.glob("many/seed-0/*/predictions.csv"))


@pytest.mark.parametrize("command", ["suite", "ablate"])
def test_so_do_the_others(cohort: Path, command: str) -> None:
    methods = {"abmil": None, "mkd": {**ONE, "training": {"members": 16}}}
    genomics: dict[str, object] = {"mrna": {}}
    result = run(command, written(cohort, methods=methods, genomics=genomics), "--dry-run")
    assert "Problem: target ER: mkd" in result.stderr
    assert result.exit_code == 0


def test_train_is_not_kept_from_all_patients(cohort: Path) -> None:
    """Thirteen are negative; two folds leave six or seven to learn from."""
    few = {"recipe": "linear", "training": {"members": 9}}
    experiment = written(cohort, methods={"abmil": None, "mkd": None, "few": few}, splits={})
    assert "few cannot be trained" in run("audit", experiment).stderr
    succeed("train", experiment, "--out", cohort.parent / "model")
