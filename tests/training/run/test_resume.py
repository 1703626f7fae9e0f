"""A cross-validation that is interrupted ends as if it had not been."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from histodistill.errors import InputError
from histodistill.finished import FINISHED
from histodistill.training import Epoch, Failure, Fit, cross_validate
from histodistill.training.loop import trainer
from histodistill.training.loop.trainer import CHECKPOINT, CURVES
from tests.training.cohorts import World, described, experiment

CHANGES = {
    "methods": {"abmil": {}, "mkd": {}},
    "baselines": ["logistic-slides"],
    "training": {"max_epochs": 3},
}
# Two folds of two methods, three epochs each.
N_EPOCHS = 12


@pytest.fixture(autouse=True)
def checkpoint_after_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0)


class _PowerCutError(BaseException):
    """Stands for Ctrl-C."""


class _Watcher:
    """Counts epochs and trainings, and pulls the plug after some."""

    def __init__(self, epochs: int | None = None) -> None:
        self.epochs: list[tuple[str, int, int]] = []
        self.fits: list[Fit] = []
        self._limit = epochs

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        self.epochs.append((fit.method, fit.fold.index, epoch.epoch))
        if len(self.epochs) == self._limit:
            raise _PowerCutError

    def on_fit(self, fit: Fit) -> None:
        self.fits.append(fit)

    def on_failure(self, failure: Failure) -> None:
        raise AssertionError(failure)


def results(output: Path) -> dict[str, bytes]:
    """Everything that a run leaves but its configuration, which names its folder, and times."""
    own = {"experiment.json", "versions.json", "cost.json", "costs.csv", FINISHED}
    return {
        str(path.relative_to(output)): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.name not in own
    }


def assert_same(found: Path, expected: dict[str, bytes], ignore: Sequence[str] = ()) -> None:
    # A bundle's description holds the experiment's name and versions, all the same here.
    ours = {name: content for name, content in results(found).items() if name not in ignore}
    assert sorted(ours) == sorted(expected)
    differing = [name for name, content in expected.items() if ours[name] != content]
    assert not differing


@pytest.fixture(scope="module")
def uninterrupted(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    output = tmp_path_factory.mktemp("uninterrupted")
    watcher = _Watcher()
    cross_validate(experiment(world.files, output, **CHANGES), world.data, watcher=watcher)
    assert len(watcher.epochs) == N_EPOCHS
    return results(output)


@pytest.mark.parametrize("epochs", [1, 3, 5, 8, N_EPOCHS])
def test_an_interruption_changes_nothing(
    world: World, tmp_path: Path, uninterrupted: dict[str, bytes], epochs: int
) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    first = _Watcher(epochs)
    with pytest.raises(_PowerCutError):
        cross_validate(setup, world.data, watcher=first)
    assert not (tmp_path / "predictions.csv").exists()
    finished = {
        path: path.stat().st_mtime_ns
        for fit in first.fits
        for path in fit.folder(tmp_path).rglob("*")
    }
    second = _Watcher()
    cross_validate(setup, world.data, watcher=second)
    # Each epoch was run once, and nothing finished was touched.
    assert len(first.epochs) + len(second.epochs) == N_EPOCHS
    assert not set(first.epochs) & set(second.epochs)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert_same(tmp_path, uninterrupted)


def test_epochs_after_the_last_checkpoint_are_run_again(
    world: World,
    tmp_path: Path,
    uninterrupted: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the first epoch of a training is saved; the third is interrupted."""
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", float("inf"))
    setup = experiment(world.files, tmp_path, **CHANGES)
    first, second = _Watcher(3), _Watcher()
    with pytest.raises(_PowerCutError):
        cross_validate(setup, world.data, watcher=first)
    cross_validate(setup, world.data, watcher=second)
    assert second.epochs[:2] == first.epochs[1:]
    assert_same(tmp_path, uninterrupted)


def test_a_second_run_does_nothing_again(
    world: World, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    first = cross_validate(setup, world.data)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "fits").rglob("*")}
    watcher = _Watcher()
    second = cross_validate(setup, world.data, watcher=watcher)
    assert watcher.epochs == []
    assert len(watcher.fits) == 6
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert second.equals(first)
    assert_same(tmp_path, uninterrupted)


def test_a_model_without_its_predictions_is_made_again(
    world: World, tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    """As after an interruption between the model and the predictions."""
    setup = experiment(world.files, tmp_path, **CHANGES)
    cross_validate(setup, world.data)
    place = tmp_path / "fits/ER/mkd/seed-0/repeat-0-fold-1"
    (place / "predictions.csv").unlink()
    (place / "model/bundle.json").write_text("{")
    cross_validate(setup, world.data)
    assert_same(tmp_path, uninterrupted)


@pytest.mark.parametrize("name", ["predictions.csv", "validation.csv", "cost.json"])
def test_a_result_that_has_changed_is_not_taken_for_whole(
    world: World, tmp_path: Path, name: str
) -> None:
    setup = experiment(world.files, tmp_path, **CHANGES)
    cross_validate(setup, world.data)
    file = tmp_path / "fits/ER/mkd/seed-0/repeat-0-fold-1" / name
    content = file.read_text()
    lines = content.splitlines(keepends=True)
    file.write_text("".join(lines[: len(lines) // 2]))
    with pytest.raises(InputError, match=rf"{name}: has changed .* {len(lines)} then"):
        cross_validate(setup, world.data)
    file.unlink()
    if name != "predictions.csv":
        with pytest.raises(InputError, match=f"{name}: is missing"):
            cross_validate(setup, world.data)
    os.mkfifo(file)
    with pytest.raises(InputError, match=f"{name}: is no ordinary file"):
        cross_validate(setup, world.data)
    file.unlink()
    file.write_text(content)
    watcher = _Watcher()
    cross_validate(setup, world.data, watcher=watcher)
    assert watcher.epochs == []


def living() -> dict[int, int]:
    """The parent of every process that runs."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in listing.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def wait_until(condition: Callable[[], bool], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.slow
def test_a_killed_process_changes_nothing(world: World, tmp_path: Path) -> None:
    """kill -9 of a run in two processes, then the same command: as one run in one process."""
    changes = {**CHANGES, "training": {"max_epochs": 40, "patience": 40}}
    output = tmp_path / "killed"
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(described(world.files, output, **changes)))
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    program = Path(sys.executable).with_name("histodistill")
    command = [str(program), "crossval", str(file), "--no-report", "--jobs", "2"]

    def unfinished() -> list[Path]:
        return [path.parent for path in output.glob(f"fits/ER/mkd/seed-0/*/{CHECKPOINT}")]

    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: bool(unfinished()) or process.poll() is not None)
        workers = {pid for pid, parent in living().items() if parent == process.pid}
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    assert len(workers) >= 2
    # The workers do not go on behind the back of the next run.
    wait_until(lambda: not workers & living().keys())
    (place, *_) = unfinished()
    assert len((place / CURVES).read_text().splitlines()) < 40
    (done, *_) = output.glob(f"fits/ER/abmil/seed-0/*/{FINISHED}")
    finished = done.with_name("predictions.csv")
    before = finished.stat().st_mtime_ns

    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    assert finished.stat().st_mtime_ns == before
    whole = tmp_path / "whole"
    cross_validate(experiment(world.files, whole, **changes), world.data)
    # A file that was being written keeps its temporary name; nobody reads it.
    litter = [name for name in results(output) if "/." in name]
    assert_same(output, results(whole), ignore=litter)
