"""SLURM itself, where there is one that takes jobs from here; needs a folder that its nodes see."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from histodistill.engines import slurm
from histodistill.engines.choice import Place, opened
from histodistill.engines.scheduling import run_tasks
from histodistill.errors import InputError
from histodistill.training import cross_validate
from tests.training.cohorts import World, described, experiment
from tests.training.run.test_resume import assert_same, results


def _takes_jobs() -> bool:
    if shutil.which("sbatch") is None or shutil.which("sinfo") is None:
        return False
    asked = subprocess.run(["sinfo", "--noheader"], capture_output=True, text=True, check=False)
    return asked.returncode == 0 and "up" in asked.stdout


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not _takes_jobs(), reason="no SLURM takes jobs from here"),
]

CHANGES = {
    "methods": {"abmil": {}, "kd-offline": {}},
    "baselines": ["logistic-slides"],
    "training": {"max_epochs": 2},
}


def queue() -> list[str]:
    asked = subprocess.run(
        ["squeue", "--me", "--noheader", "--array", "--format=%i"],
        capture_output=True,
        text=True,
        check=True,
    )
    return asked.stdout.split()


def test_arrays_give_the_same_bytes(world: World, tmp_path: Path) -> None:
    cross_validate(experiment(world.files, tmp_path / "alone", **CHANGES), world.data, threads=1)
    output = tmp_path / "slurm"
    file = tmp_path / "experiment.yaml"
    file.write_text(yaml.safe_dump(described(world.files, output, **CHANGES)))
    program = Path(sys.executable).with_name("histodistill")
    done = subprocess.run(
        [str(program), "crossval", str(file), "--no-report", "--on", "slurm", "--jobs", "2"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SLURM: arrays of at most" in done.stdout
    tasks = [name for name in results(output) if name.startswith(".tasks")]
    assert_same(output, results(tmp_path / "alone"), ignore=tasks)


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
        while queue():
            time.sleep(0.5)
        monkeypatch.setenv("SBATCH_PARTITION", "no-such-partition")
        with pytest.raises(InputError, match=r"SLURM does not take the tasks: .*partition"):
            engine.submit(sleep, [(1,)])
