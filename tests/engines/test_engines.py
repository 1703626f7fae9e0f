"""Every engine keeps the same promises."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import Engine, LostTaskError
from histodistill.engines.scheduling import run_tasks
from histodistill.errors import InputError

ENGINES = ["in this process", "processes", "ray", "submitit local", "submitit debug"]


@contextmanager
def engine_of(name: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    if name.startswith("submitit"):
        pytest.importorskip("submitit")
        from histodistill.engines.slurm import SlurmArrays

        yield SlurmArrays(folder, 1, jobs=2, cluster=name.split()[1])  # type: ignore[arg-type]
    elif name == "ray":
        place = Place("ray", request.getfixturevalue("ray_cluster"))
        with opened(place, folder, threads=1) as engine:
            yield engine
    else:
        with opened(Place(), folder, jobs=1 + (name == "processes"), threads=1) as engine:
            yield engine


def make_work(marker: Path):
    """Work that travels by value, as this module lies on no machine but this one."""

    def work(task: tuple[str, ...]) -> tuple[str, str, str]:
        if "problem" in task:
            raise InputError("a.csv: is missing", "b.csv: too")
        if "bug" in task:
            raise KeyError("a bug")
        if "kill" in task and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "poison" in task:
            os.kill(os.getpid(), signal.SIGKILL)
        return "+".join(task), os.environ.get("OMP_NUM_THREADS", ""), str(Path.cwd())

    return work


@pytest.mark.slow
@pytest.mark.parametrize("name", ENGINES)
def test_answers_come_back_and_problems_are_told(name, tmp_path, request, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    work = make_work(tmp_path / "marker")
    with engine_of(name, tmp_path / "tasks", request) as engine:
        ended = dict(run_tasks(engine, work, [("a", "b"), ("c",)]))
        assert ended == {
            ("a", "b"): ("a+b", "1", str(Path.cwd())),
            ("c",): ("c", "1", str(Path.cwd())),
        }
        with pytest.raises(InputError) as refused:
            list(run_tasks(engine, work, [("problem",)]))
        assert refused.value.problems == ("a.csv: is missing", "b.csv: too")
        with pytest.raises((KeyError, RuntimeError), match="a bug"):
            list(run_tasks(engine, work, [("bug",)]))
    assert not list(tmp_path.rglob("command-*"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "ray"])
def test_libraries_of_a_worker_take_the_threads_of_a_task(name, tmp_path, request, monkeypatch):
    """Also one that is there before the work, as Ray brings numpy."""
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")

    def threads(task: tuple[str, ...]) -> set[int]:
        import numpy  # noqa: F401
        from threadpoolctl import threadpool_info

        return {each["num_threads"] for each in threadpool_info()}

    with engine_of(name, tmp_path / "tasks", request) as engine:
        ((_, found),) = run_tasks(engine, threads, [("a",)])
    assert found == {1}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ray", "submitit local"])
def test_a_killed_worker_costs_its_task_and_one_that_kills_is_told(name, tmp_path, request):
    work = make_work(tmp_path / "marker")
    with (
        engine_of(name, tmp_path / "tasks", request) as engine,
        pytest.warns(UserWarning, match="a task was lost and is run again"),
    ):
        ended = dict(run_tasks(engine, work, [("a", "kill"), ("poison",)]))
    assert [ended[piece,][0] for piece in ("a", "kill")] == ["a", "kill"]
    assert isinstance(ended["poison",], LostTaskError)


@pytest.mark.slow
def test_a_killed_process_of_this_machine_ends_the_run(tmp_path, request):
    with (
        engine_of("processes", tmp_path, request) as engine,
        pytest.raises(InputError, match="for lack of memory; what is finished is kept"),
    ):
        list(run_tasks(engine, make_work(tmp_path / "marker"), [("kill",)]))
