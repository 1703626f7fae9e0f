"""Ctrl-C at any moment: a plain word, and the same command goes on to the same result."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from histodistill.cli.training_progress import FitsProgress
from histodistill.training.loop import trainer
from tests.cli.command_line import run, succeed
from tests.experiment.small import experiment_file

SMALL = {"training": {"max_epochs": 3}, "methods": {"abmil": None}, "baselines": []}
TOLD = "Interrupted; no half-written file is left. Run the same command again: crossval"


@pytest.fixture(autouse=True)
def _a_checkpoint_an_epoch(monkeypatch) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)


def interrupting(monkeypatch, owner, name: str, after: int) -> None:
    """Let the given call be the one in which the user presses Ctrl-C."""
    original = getattr(owner, name)
    calls = iter(range(1000))

    def pressed(*args, **kwargs):
        if next(calls) == after:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, pressed)


def experiment_in(folder: Path, template: Path) -> Path:
    folder.mkdir()
    (folder / "cohort").symlink_to(template)
    return experiment_file(folder, SMALL)


def test_an_interrupted_crossval_resumes_to_the_same_result(template, tmp_path, monkeypatch):
    whole = experiment_in(tmp_path / "whole", template)
    succeed("crossval", whole, "--no-report")
    broken = experiment_in(tmp_path / "broken", template)
    # In a batch of the first fold, after its last epoch, and in the second fold.
    for owner, name, after in (
        (trainer.Trainer, "_step", 1),
        (FitsProgress, "on_epoch", 1),
        (trainer, "save_state", 1),
    ):
        with monkeypatch.context() as patch:
            interrupting(patch, owner, name, after)
            result = run("crossval", broken, "--no-report")
        assert result.exit_code == 130, result.output
        assert TOLD in result.stderr
        assert "Traceback" not in result.output
        assert not (tmp_path / "broken" / "results" / "predictions.csv").exists()
    succeed("crossval", broken, "--no-report")
    written = [tmp_path / name / "results" / "predictions.csv" for name in ("whole", "broken")]
    assert written[0].read_bytes() == written[1].read_bytes()


def test_an_interrupted_training_of_the_final_model_resumes(template, tmp_path, monkeypatch):
    experiment = experiment_in(tmp_path / "job", template)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    succeed("train", experiment, "--out", whole)
    with monkeypatch.context() as patch:
        interrupting(patch, trainer, "save_state", 2)
        assert run("train", experiment, "--out", broken).exit_code == 130
    assert not broken.exists()
    succeed("train", experiment, "--out", broken)
    weights = [load_file(place / "member-0" / "networks.safetensors") for place in (whole, broken)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


@pytest.mark.slow
def test_a_signal_ends_the_process_with_130(template, tmp_path):
    experiment = experiment_in(tmp_path / "job", template)
    text = experiment.read_text().replace("max_epochs: 3", "max_epochs: 5000\n  patience: 5000")
    experiment.write_text(text)
    command = [sys.executable, "-c", "from histodistill.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command, "crossval", str(experiment)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        text=True,
    )
    fits = tmp_path / "job" / "results" / "fits"
    try:
        while process.poll() is None and not list(fits.rglob("curves.jsonl")):
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == 130
    assert told.strip().startswith(TOLD)
    assert "Traceback" not in told
