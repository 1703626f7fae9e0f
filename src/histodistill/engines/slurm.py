"""Tasks of SLURM arrays, by way of submitit."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from histodistill.engines.elsewhere import Elsewhere
from histodistill.engines.engine import LostTaskError, Work, thread_variables
from histodistill.engines.slurm_limits import (
    DEFAULT_MINUTES,
    free_places,
    largest_array,
    limit_said,
    limit_seconds,
)
from histodistill.errors import InputError

_POLL_SECONDS = 2.0
# Each task starts Python and reads the cohort anew.
_LEAST_SECONDS, _MOST_SECONDS = 20.0, 180.0
# Where the time limit is too short, as for one long training, the task is put into the queue again
# and goes on from its last checkpoint.
_REQUEUES = 1000
# The signal comes so long before the end, and a checkpoint is not older than 20 seconds.
_WARNING_SECONDS = 120
# Of the job that this process may be part of; what a job is told by them, another is not meant by.
_KEPT = ("SLURM_CONF", "SLURM_CLUSTERS")
# A task that has left the queue may have written its answer where it is not seen at once.
_LATE_SECONDS = 30.0


def require_slurm() -> None:
    """Refuse a machine that cannot submit.

    Raises:
        InputError: submitit, which is an extra, or SLURM's `sbatch` is missing, the time limit is
            none that tasks can work with, or SLURM would take no task from here.
    """
    _submitit()
    limit_seconds()
    if shutil.which("sbatch") is None:
        raise InputError(
            "--on slurm: there is no `sbatch` here; run the command on a machine from which jobs "
            "are submitted, such as the login node"
        )
    _require_taken()


def _require_taken(threads: int = 1, *, gpu: bool = False) -> None:
    """Ask SLURM whether it would take such a task; nothing is submitted.

    Raises:
        InputError: It would not; says why.
    """
    wants = [f"--cpus-per-task={threads}", *(["--gpus-per-node=1"] if gpu else [])]
    with _no_job():
        asked = subprocess.run(
            ["sbatch", "--test-only", *wants, "--wrap=true"],
            capture_output=True,
            text=True,
            check=False,
        )
    if asked.returncode:
        raise InputError(
            f"SLURM takes no task of {threads} cores (--threads; of extract --workers)"
            f"{' and a GPU' if gpu else ''} from here: "
            f"{' '.join(asked.stderr.split())}"
        )


def _submitit() -> ModuleType:
    try:
        return import_module("submitit")
    except ImportError as error:
        raise InputError(
            "--on slurm needs the extra 'slurm': pip install 'histodistill[slurm]'"
        ) from error


class SlurmArrays:
    """Submits tasks as arrays. What a site wants to know, the variables of ``sbatch`` tell.

    ``SBATCH_PARTITION``, ``SBATCH_ACCOUNT``, ``SBATCH_QOS``, ``SBATCH_TIMELIMIT``, ... are read by
    ``sbatch`` itself and go before what is written here.

    Args:
        folder: Gets the tasks, their answers and logs; all nodes see it.
        threads: CPU cores of a task, and the threads of its libraries.
        gpu: Whether a task reserves a GPU.
        jobs: Most tasks at the same time.
        cluster: ``local`` runs tasks in processes of this machine and ``debug`` in this process,
            as ``submitit`` does, to try what they do.

    Raises:
        InputError: ``SBATCH_TIMELIMIT`` is no time limit that tasks can work with, or SLURM would
            take no such task.
    """

    def __init__(
        self,
        folder: Path,
        threads: int,
        *,
        gpu: bool = False,
        jobs: int | None = None,
        cluster: Literal["slurm", "local", "debug"] = "slurm",
    ) -> None:
        submitit = _submitit()
        if cluster == "slurm":
            _require_taken(threads, gpu=gpu)
        self._cluster = cluster
        self.room = largest_array() if cluster == "slurm" else jobs or 1
        limit = limit_seconds()
        self.least_seconds, self.most_seconds = _LEAST_SECONDS, min(_MOST_SECONDS, limit / 2)
        free = free_places(threads, gpu=gpu) if cluster == "slurm" else None
        # An array waits for more; how long, nobody knows.
        self.slots = max(1, min(jobs or self.room, free or 1))
        self._folder = folder.absolute()
        self._executor = submitit.AutoExecutor(
            folder=self._folder / "%A", cluster=cluster, slurm_max_num_timeout=_REQUEUES
        )
        parameters: dict[str, Any] = {"timeout_min": DEFAULT_MINUTES, "cpus_per_task": threads}
        if gpu:
            parameters["gpus_per_node"] = 1
        if cluster == "slurm":
            exports = [f"export {k}={v}" for k, v in thread_variables(threads).items()]
            parameters |= {
                "slurm_array_parallelism": jobs or self.room,
                "slurm_setup": exports,
                "slurm_signal_delay_s": int(min(_WARNING_SECONDS, limit / 4)),
                "name": "histodistill",
            }
        self._executor.update_parameters(**parameters)
        at_once = f"{jobs} (--jobs)" if jobs else "as many as SLURM lets run (limit: --jobs)"
        room = "" if free is None else f", now there is room for {free}"
        self.notes: tuple[str, ...] = (
            f"SLURM: arrays of at most {self.room} tasks, at a time {at_once}{room}; threads of "
            f"each: {threads} (--threads); time limit: {limit_said()}; logs in {self._folder}",
        )
        self._numbers = count()
        self._running: dict[int, Any] = {}
        self._gone: dict[int, float] = {}
        self._ended: dict[int, Any] = {}

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Submit an array.

        Raises:
            InputError: SLURM refuses it; says why.
        """
        call = Elsewhere(work, Path.cwd())
        try:
            with _no_job():
                jobs = self._executor.map_array(call, tasks)
        except Exception as error:  # submitit's own, or of the process that it calls
            if self._cluster != "slurm":
                raise
            raise InputError(f"SLURM does not take the tasks: {_said(error)}") from error
        tickets = [next(self._numbers) for _ in jobs]
        self._running |= zip(tickets, jobs, strict=True)
        return tickets

    def poll(self) -> list[int]:
        """Those whose answer is there, or that are in the queue no more."""
        if not self._running:
            return []
        told = self._answered() or self._left()
        if not told:
            time.sleep(_POLL_SECONDS)
        for ticket in told:
            self._ended[ticket] = self._running.pop(ticket)
            self._gone.pop(ticket, None)
        return told

    def collect(self, ticket: int) -> Any:
        """What it returned; one that left the queue without an answer is lost."""
        job = self._ended.pop(ticket)
        if self._cluster != "debug" and not job.paths.result_pickle.exists():
            raise LostTaskError(f"SLURM task {job.job_id} {_last_words(job.paths.stderr)}")
        if job.exception() is not None:
            raise LostTaskError(f"SLURM task {job.job_id} {_last_words(job.paths.stderr)}")
        return job.result().result()

    def cancel(self) -> None:
        """Take out of the queue what waits, and end what runs."""
        if self._cluster == "slurm":
            arrays = sorted({job.job_id.partition("_")[0] for job in self._running.values()})
            if arrays:
                subprocess.run(["scancel", *arrays], check=False, capture_output=True)
        else:
            for job in self._running.values():
                job.cancel()
        self._running.clear()

    def _answered(self) -> list[int]:
        if self._cluster == "debug":
            return list(self._running)
        return [t for t, job in self._running.items() if job.paths.result_pickle.exists()]

    def _left(self) -> list[int]:
        """Those that have left the queue and whose answer does not come."""
        now = time.monotonic()
        present = self._present()
        for ticket, job in self._running.items():
            if present is None or job.job_id in present:
                self._gone.pop(ticket, None)
            else:
                self._gone.setdefault(ticket, now)
        late = _LATE_SECONDS if self._cluster == "slurm" else 0.0
        return [ticket for ticket, since in self._gone.items() if now - since >= late]

    def _present(self) -> set[str] | None:
        """Tasks that wait or run; None where it cannot be asked now."""
        if self._cluster == "local":
            return {job.job_id for job in self._running.values() if not job.done()}
        asked = subprocess.run(
            ["squeue", "--me", "--noheader", "--array", "--format=%i"],
            capture_output=True,
            text=True,
            check=False,
        )
        return None if asked.returncode else set(asked.stdout.split())


@contextmanager
def _no_job() -> Iterator[None]:
    """Hide the job that this process may be part of: its memory and cores are not of new jobs."""
    own = {k: v for k, v in os.environ.items() if k.startswith("SLURM_") and k not in _KEPT}
    for name in own:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(own)


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _last_words(log: Path) -> str:
    """How a task ended, as far as its log tells."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        lines = []
    if lines:
        return f"ended without an answer: {lines[-1]} ({log})"
    return f"ended without a word; do all nodes see {log.parent}?"
