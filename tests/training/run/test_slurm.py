"""On SLURM itself: the machine's own, or one that is started for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from histodistill.engines import slurm
from histodistill.engines.choice import Place, opened
from histodistill.engines.scheduling import run_tasks
from histodistill.errors import InputError
from histodistill.training import cross_validate
from histodistill.training.loop.trainer import CHECKPOINT, CURVES
from tests.training.cohorts import World, described, experiment
from tests.training.run.test_resume import assert_same, results, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("slurm_cluster")]

CHANGES: dict[str, Any] = {
    "methods": {"abmil": {}, "kd-offline": {}},
    "baselines": ["logistic-slides"],
    "training": {"max_epochs": 2},
}


def queue(*words: str) -> list[str]:
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--array", "--format=%i", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.split()


def histodistill(command: str, file: Path, *words: str) -> subprocess.Popen[str]:
    program = Path(sys.executable).with_name("histodistill")
    return subprocess.Popen(
        [str(program), command, str(file), "--on", "slurm", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def written(world: World, folder: Path, changes: dict[str, Any]) -> Path:
    """The experiment's file; its results go into ``slurm`` beside it."""
    file = folder / "experiment.yaml"
    file.write_text(yaml.safe_dump(described(world.files, folder / "slurm", **changes)))
    return file


@pytest.mark.parametrize("command", ["crossval", "suite"])
def test_arrays_give_the_same_bytes(world: World, tmp_path: Path, command: str) -> None:
    cross_validate(experiment(world.files, tmp_path / "alone", **CHANGES), world.data, threads=1)
    run = histodistill(command, written(world, tmp_path, CHANGES), "--jobs", "2")
    told = run.communicate()[0]
    assert run.returncode == 0, told
    assert "SLURM: arrays of at most" in told
    output = tmp_path / "slurm"
    expected = results(tmp_path / "alone")
    assert_same(output, expected, ignore=[n for n in results(output) if n not in expected])


def test_arrays_fit_the_cluster_and_a_cancelled_task_is_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "_LATE_SECONDS", 3.0)
    marker = tmp_path / "marker"

    def work(task: tuple[int, ...]) -> int:
        if task == (3,) and not marker.exists():
            marker.touch()
            own = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
            subprocess.run(["scancel", own], check=True)
            time.sleep(600)
        return sum(task)

    with opened(Place("slurm"), tmp_path / "tasks", jobs=2, threads=1) as engine:
        n = engine.room + 2 if engine.room < 10 else 5
        with pytest.warns(UserWarning, match="a task was lost and is run again: SLURM task"):
            answers = [answer for _, answer in run_tasks(engine, work, [(i,) for i in range(n)])]
    assert sorted(answers) == list(range(n))


def put_back() -> None:
    subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
    time.sleep(600)


def warned() -> None:
    """As before the time limit."""
    subprocess.run(["scancel", "--signal=USR2", os.environ["SLURM_JOB_ID"]], check=True)
    time.sleep(600)


def killed() -> None:
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize("end", [None, put_back, warned, killed])
def test_a_lone_task_is_lost_only_when_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: Callable[[], None] | None
) -> None:
    """It is run once; again where its job is put back; and as another one after kill -9."""
    monkeypatch.setattr(slurm, "_LATE_SECONDS", 1.0)
    runs = tmp_path / "runs"

    def work(task: tuple[int, ...]) -> int:
        first = not runs.exists()
        with runs.open("a") as log:
            log.write(os.environ["SLURM_JOB_ID"] + "\n")
        if end is None:
            time.sleep(8)
        elif first:
            end()
        return sum(task)

    with (
        opened(Place("slurm"), tmp_path / "tasks", threads=1) as engine,
        warnings.catch_warnings(record=True) as seen,
    ):
        assert list(run_tasks(engine, work, [(7,)])) == [((7,), 7)]
    lost = [w for w in seen if "a task was lost and is run again" in str(w.message)]
    jobs = runs.read_text().split()
    assert len(jobs) == 1 + (end is not None)
    assert (len(set(jobs)), len(lost)) == ((2, 1) if end is killed else (1, 0))


def test_a_training_that_is_warned_goes_on_from_its_checkpoint(
    world: World, tmp_path: Path
) -> None:
    """The signal that comes before the time limit, in the middle of a training."""
    changes = {
        "methods": {"mkd": {}},
        "training": {"max_epochs": 150, "patience": 150},
        "baselines": [],
    }
    output = tmp_path / "slurm"
    fit = output / "fits/ER/mkd/seed-0/repeat-0-fold-0"
    run = histodistill("crossval", written(world, tmp_path, changes), "--no-report", "--jobs", "1")

    def epochs() -> int:
        return len((fit / CURVES).read_text().splitlines()) if (fit / CURVES).exists() else 0

    wait_until(lambda: epochs() > 3 or run.poll() is not None)
    assert run.poll() is None, run.communicate()[0]
    (job,) = queue("--states=running")
    subprocess.run(["scancel", "--signal=USR2", job], check=True)
    log = output / ".tasks"
    wait_until(lambda: any("Requeued job" in p.read_text() for p in log.rglob("*_log.*")))
    assert epochs() < 150
    assert (fit / CHECKPOINT).exists()
    told = run.communicate()[0]
    assert run.returncode == 0, told
    assert "is run again" not in told
    cross_validate(experiment(world.files, tmp_path / "alone", **changes), world.data, threads=1)
    expected = results(tmp_path / "alone")
    assert_same(output, expected, ignore=[n for n in results(output) if n not in expected])


def test_a_command_that_is_a_job_itself_submits_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What its own job was told of memory and cores is not meant for them."""
    job = {"SLURM_JOB_ID": "1", "SLURM_MEM_PER_NODE": "100", "SLURM_CPUS_PER_TASK": "7"}
    for name, value in (job | {"SBATCH_MEM_PER_CPU": "200"}).items():
        monkeypatch.setenv(name, value)

    def told(task: tuple[int, ...]) -> tuple[str | None, ...]:
        return tuple(os.environ.get(name) for name in job)[1:]

    with opened(Place("slurm"), tmp_path / "tasks", threads=1) as engine:
        ((_, answer),) = run_tasks(engine, told, [(1,)])
    assert answer == (None, "1")
    assert os.environ["SLURM_JOB_ID"] == "1"


def test_leaving_ends_the_jobs_and_a_refusal_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sleep(task: tuple[int, ...]) -> None:
        time.sleep(600)

    with opened(Place("slurm"), tmp_path / "tasks", jobs=1, threads=1) as engine:
        engine.submit(sleep, [(1,), (2,)])
        assert engine.poll() == []
        assert len(queue()) == 2
        engine.cancel()
        wait_until(lambda: not queue())
        monkeypatch.setenv("SBATCH_PARTITION", "no-such-partition")
        with pytest.raises(InputError, match=r"SLURM does not take the tasks: .*partition"):
            engine.submit(sleep, [(1,)])
