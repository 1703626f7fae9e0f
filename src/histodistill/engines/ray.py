"""Tasks of a Ray cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from histodistill.engines.elsewhere import Elsewhere
from histodistill.engines.engine import LostTaskError, Work, thread_variables
from histodistill.errors import InputError

_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 1.0
# At this port Ray listens to drivers that are not on a machine of the cluster.
_CLIENT_PORT = "10001"
# More tasks than slots wait, so that a cluster that grows by demand does.
_ROOM = 1000


def ray_or_problem() -> ModuleType:
    """Ray, which is an extra.

    Raises:
        InputError: It is not installed.
    """
    try:
        return import_module("ray")
    except ImportError as error:
        raise InputError(
            "--on ray needs the extra 'cluster': pip install 'histodistill[cluster]'"
        ) from error


def require_answer(address: str | None) -> None:
    """Refuse an address where nothing listens: Ray tries it for minutes, then ends the process.

    Raises:
        InputError: Nothing listens there, or it is no HOST:PORT.
    """
    if address is None:
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(
            f"no Ray cluster answers at {address!r} ({error}); give --on ray://HOST:PORT as "
            "'ray start' told it, or --on ray alone for the one of this machine"
        ) from error


class RayCluster:
    """Runs tasks on a cluster that this process is connected to.

    A task that its machine or its process takes along is lost; whoever submitted it decides.

    Args:
        ray: The package.
        threads: CPU cores that a task reserves, and the threads of its libraries.
        gpu: Whether a task reserves a GPU.
        jobs: Most tasks at the same time.
    """

    # A worker that has ended a task takes the next one at once.
    least_seconds, most_seconds = 1.0, 120.0

    def __init__(
        self, ray: ModuleType, threads: int, *, gpu: bool = False, jobs: int | None = None
    ) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        fitting = int(resources.get("CPU", 0) // threads)
        if gpu:
            fitting = min(fitting, int(resources.get("GPU", 0)))
        self.slots = max(1, min(fitting, jobs or fitting))
        self.room = jobs or max(_ROOM, 4 * self.slots)
        nodes = sum(node["Alive"] for node in ray.nodes())
        notes = [
            f"Ray: {nodes} nodes, {self.slots} tasks at a time, threads of each: {threads} "
            "(--threads; Ray itself sets OMP_NUM_THREADS to the cores of a task)"
        ]
        if fitting < 1:
            notes.append(
                f"no node of the Ray cluster has {threads} cores{' and a GPU' if gpu else ''} "
                "now: tasks wait until one comes"
            )
        self.notes = tuple(notes)
        self._options = {
            "num_cpus": threads,
            "num_gpus": int(gpu),
            "max_retries": 0,
            "runtime_env": {"env_vars": thread_variables(threads)},
        }
        self._works: dict[int, tuple[Work, Any]] = {}
        self._running: dict[Any, int] = {}
        self._ended: dict[int, Any] = {}
        self._numbers = count()

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Let Ray hand tasks out."""
        call = self._ray.remote(**self._options)(_call)
        if id(work) not in self._works:
            self._works[id(work)] = work, self._ray.put(Elsewhere(work, Path.cwd()))
        stored = self._works[id(work)][1]
        tickets = [next(self._numbers) for _ in tasks]
        for ticket, task in zip(tickets, tasks, strict=True):
            self._running[call.remote(stored, task)] = ticket
        return tickets

    def poll(self) -> list[int]:
        """Those that have ended."""
        if not self._running:
            return []
        waiting = list(self._running)
        ready, _ = self._ray.wait(waiting, num_returns=1, timeout=_POLL_SECONDS)
        if ready:  # all others that are ready too
            ready, _ = self._ray.wait(waiting, num_returns=len(waiting), timeout=0)
        told = {self._running.pop(each): each for each in ready}
        self._ended |= told
        return sorted(told)

    def collect(self, ticket: int) -> Any:
        """What it returned; a worker or a node that died loses it."""
        errors = self._ray.exceptions
        try:
            ended = self._ray.get(self._ended.pop(ticket))
        except errors.RayTaskError:  # its arguments cannot be read there
            raise
        except errors.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise LostTaskError(f"{type(error).__name__}: {reason}") from error
        return ended.result()

    def cancel(self) -> None:
        """End all tasks; their processes too."""
        for each in self._running:
            self._ray.cancel(each, force=True)
        self._running.clear()


@contextmanager
def connected(address: str | None) -> Iterator[ModuleType]:
    """A connection to a cluster; one that this process has already is used and left open.

    Args:
        address: HOST:PORT; None for the cluster of ``RAY_ADDRESS`` or of this machine, which is
            started where there is none.

    Raises:
        InputError: Ray is not installed, or no cluster answers.
    """
    ray = ray_or_problem()
    if ray.is_initialized():
        yield ray
        return
    require_answer(address)
    client = address is not None and address.endswith(f":{_CLIENT_PORT}")
    try:
        ray.init(
            address=f"ray://{address}" if client else address,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"no Ray cluster answers at {address!r} ({error})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _call(work: Elsewhere, task: Any) -> Any:
    return work(task)
