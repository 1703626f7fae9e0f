"""What a run tells without a terminal: lines with counts and time left, never thousands."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from histodistill.cli import progress, training_progress
from histodistill.cli.progress import counting
from histodistill.cli.time_left import Pace
from histodistill.cli.training_progress import Trainings, one_training
from histodistill.training import Epoch
from tests.cli.command_line import succeed
from tests.experiment.small import experiment_file


def epoch(number: int) -> Epoch:
    return Epoch(
        number, 1e-3, {"total": 0.5}, {"student_auc": 0.75, "student_loss": 1.0}, best=True
    )


@pytest.fixture
def always_due(monkeypatch) -> None:
    monkeypatch.setattr(Pace, "due", lambda self: True)


def test_an_epoch_is_told_with_counts_and_time_left(always_due, capsys):
    trainings = Trainings({"mkd": 3}, {"mkd": 30}, earlier=2)
    trainings.on_epoch("mkd", "ER mkd seed 0 fold 0", epoch(4))
    assert capsys.readouterr().out == (
        "2 of 5 trained, 1 running, time left not known yet; ER mkd seed 0 fold 0: "
        "epoch 5 of at most 30: loss 0.50, AUC S 0.75\n"
    )
    trainings.on_end("mkd", "ER mkd seed 0 fold 0")
    trainings.on_end("mkd", "ER mkd seed 0 fold 1", failed=True)
    trainings.on_end("mkd", "ER mkd seed 0 fold 2", ": validation AUC 0.7")
    assert capsys.readouterr().out.splitlines() == [
        "Trained 3 of 5: ER mkd seed 0 fold 0 (less than a minute left)",
        "Failed: ER mkd seed 0 fold 1",
        "Trained 4 of 5: ER mkd seed 0 fold 2: validation AUC 0.7",
    ]


def test_thousands_of_trainings_are_not_thousands_of_lines(capsys):
    trainings = Trainings({"mkd": 5000}, {"mkd": 2})
    for number in range(5000):
        for each in range(2):
            trainings.on_epoch("mkd", f"fold {number}", epoch(each))
        trainings.on_end("mkd", f"fold {number}")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 210
    assert lines[-1] == "Trained 5000 of 5000: fold 4999"


def test_a_single_training_and_a_count_are_told(always_due, capsys):
    with one_training("ER mkd", 30) as on_epoch:
        on_epoch(epoch(0))
    assert "ER mkd: epoch 1 of at most 30" in capsys.readouterr().out
    with counting("Reading bags") as told:
        told(3, 4)
    assert capsys.readouterr().out == "Reading bags: 3 of 4, less than a minute left\n"


def test_a_terminal_shows_a_bar_for_each_running_training(monkeypatch):
    screen = Console(file=StringIO(), force_terminal=True, width=120)
    for module in (progress, training_progress):
        monkeypatch.setattr(module, "console", screen)
    trainings = Trainings({"mkd": 12}, {"mkd": 30})
    with trainings.bars:
        for number in range(10):
            trainings.on_epoch("mkd", f"fold {number}", epoch(number))
        shown = [task.description for task in trainings.bars.tasks if task.visible]
        assert shown == ["Trainings", *(f"fold {number}" for number in range(8))]
        trainings.on_end("mkd", "fold 0")
        shown = [task.description for task in trainings.bars.tasks if task.visible]
        assert shown == ["Trainings", *(f"fold {number}" for number in range(1, 9))]
    assert "1/12" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_an_epoch_that_is_told_late_starts_nothing(always_due, capsys):
    trainings = Trainings({"mkd": 2}, {"mkd": 30})
    trainings.on_end("mkd", "fold 0")
    capsys.readouterr()
    trainings.on_epoch("mkd", "fold 0", epoch(29))
    assert capsys.readouterr().out == ""
    trainings.on_epoch("mkd", "fold 1", epoch(0))
    assert capsys.readouterr().out.startswith("1 of 2 trained, 1 running")


def test_jobs_are_told_and_what_is_finished_is_told_once(always_due, template, tmp_path):
    (tmp_path / "cohort").symlink_to(template)
    changes: dict[str, Any] = {"methods": {"mkd": None}, "genomics": None, "baselines": []}
    words = ("crossval", experiment_file(tmp_path, changes), "--jobs", 2, "--no-report")
    told = succeed(*words).stdout
    assert re.search(r"(?m)^Trained 1 of 2: ER abmil seed 0 fold \d \(.* left\)$", told)
    assert re.search(r"(?m)^Trained 2 of 2: ER abmil seed 0 fold \d$", told)
    again = succeed(*words).stdout
    assert "2 of 2 trainings were finished by an earlier run." in again
    assert "Trained" not in again
