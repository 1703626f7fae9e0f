"""Tasks of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib import import_module
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

from threadpoolctl import threadpool_limits

from histodistill.engines.elsewhere import Elsewhere
from histodistill.engines.engine import LostTaskError, Work, thread_variables
from histodistill.errors import InputError

_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 1.0
# How a conversation of gRPC begins, and the kind of the frame that answers it (RFC 9113, 3.4).
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_KIND_AT, _SETTINGS = 3, 4
# Ray tries to reach a cluster so often, once a second; by itself 20 times.
_TRIES, _MOST_TRIES = "RAY_gcs_server_port_wait_time_s", "4"
# Where Ray keeps the word by which machines of a cluster know each other.
_TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
# The cluster at hand, in Ray's words: any, one that runs here, a new one.
_WORDS = ("auto", "local")
_TOKEN_FILE = Path(".ray") / "auth_token"
# At this port Ray listens to drivers that are not on a machine of the cluster.
_CLIENT_PORT = "10001"
# More tasks than slots wait, so that a cluster that grows by demand does.
_ROOM = 1000


def ray_or_problem() -> ModuleType:
    """Ray, which is an extra.

    Raises:
        InputError: It is not installed.
    """
    _send_token()
    try:
        return import_module("ray")
    except ImportError as error:
        raise InputError(
            "--on ray needs the extra 'cluster': pip install 'histodistill[cluster]'"
        ) from error


def _send_token() -> None:
    """Let Ray send its token where there is one: a cluster that asks for none takes it too.

    `ray start --head` asks for it as soon as there is one; who connects has to be told to send it,
    before Ray is imported.
    """
    given = any(name in os.environ for name in _TOKEN_VARIABLES)
    if "ray" not in sys.modules and (given or (Path.home() / _TOKEN_FILE).exists()):
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def require_ray(address: str | None) -> None:
    """Refuse a cluster that does not answer, or does not let this process in.

    Raises:
        InputError: It does not, or Ray is not installed.
    """
    ray_or_problem()
    if _given(address):
        with connected(address):
            pass


def _given(address: str | None) -> str | None:
    """The address that was given here, or for all that Ray does."""
    return address or os.environ.get("RAY_ADDRESS", "").removeprefix("ray://") or None


def _require_answer(address: str) -> None:
    """Refuse an address where no Ray listens: it tries it for minutes, then ends the process.

    Raises:
        InputError: Nothing listens there, or something else.
    """
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS) as caller:
            caller.sendall(_PREFACE)
            answer = caller.recv(_KIND_AT + 1)
    except (OSError, ValueError, OverflowError) as error:
        raise _no_cluster(address, str(error)) from error
    if answer[_KIND_AT:] != bytes([_SETTINGS]):
        raise _no_cluster(address, "something else than Ray listens there")


def _no_cluster(address: str | None, reason: str) -> InputError:
    if address is None:
        return InputError(
            f"the Ray cluster of this machine does not answer ({reason}); give --on "
            "ray://HOST:PORT, or end what is left of it with `ray stop`"
        )
    return InputError(
        f"no Ray cluster answers at {address!r} ({reason}); give --on ray://HOST:PORT as "
        "'ray start' told it, or --on ray alone, without RAY_ADDRESS, for the one of this machine"
    )


class RayCluster:
    """Runs tasks on a cluster that this process is connected to.

    A task that its machine or its process takes along is lost; whoever submitted it decides.

    Args:
        ray: The package.
        folder: Gets a file while tasks are there, by which they know that they see it too.
        threads: CPU cores that a task reserves, and the threads of its libraries.
        gpu: Whether a task reserves a GPU.
        jobs: Most tasks at the same time.
    """

    # A worker that has ended a task takes the next one at once.
    least_seconds, most_seconds = 1.0, 120.0

    def __init__(
        self,
        ray: ModuleType,
        folder: Path,
        threads: int,
        *,
        gpu: bool = False,
        jobs: int | None = None,
    ) -> None:
        self._ray = ray
        self._mark = folder.absolute() / f"command-{uuid4().hex}"
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = sum(_places(node, threads, gpu=gpu) for node in nodes)
        self.slots = max(1, min(fitting, jobs or fitting))
        self.room = jobs or max(_ROOM, 4 * self.slots)
        notes = [
            f"Ray: nodes: {len(nodes)}; {self.slots} tasks at a time, threads of each: {threads} "
            "(--threads; Ray itself sets OMP_NUM_THREADS to the cores of a task)"
        ]
        if fitting < 1:
            notes.append(
                f"no node of the Ray cluster has {threads} cores{' and a GPU' if gpu else ''} "
                "now: tasks wait until one comes; fewer cores: --threads, of extract --workers"
            )
        self.notes = tuple(notes)
        self._options = {
            "num_cpus": threads,
            "num_gpus": int(gpu),
            "max_retries": 0,
        }
        self._threads = threads
        self._works: dict[int, tuple[Work, Any]] = {}
        self._running: dict[Any, int] = {}
        self._ended: dict[int, Any] = {}
        self._numbers = count()

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Let Ray hand tasks out."""
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        call = self._ray.remote(**self._options)(_call)
        if id(work) not in self._works:
            there = Elsewhere(work, Path.cwd(), mark=self._mark)
            self._works[id(work)] = work, self._ray.put(there)
        stored = self._works[id(work)][1]
        tickets = [next(self._numbers) for _ in tasks]
        for ticket, task in zip(tickets, tasks, strict=True):
            self._running[call.remote([stored], self._threads, task)] = ticket
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
        except errors.RayTaskError as error:
            reason = str(error).strip().splitlines()[-1]
            raise InputError(
                f"a machine of the Ray cluster cannot read its task ({reason}); install the same "
                "versions of Python, histodistill and what it is trained with on all"
            ) from error
        except errors.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise LostTaskError(f"{type(error).__name__}: {reason}") from error
        return ended.result()

    def cancel(self) -> None:
        """End all tasks; their processes too."""
        for each in self._running:
            self._ray.cancel(each, force=True)
        self._running.clear()
        self._mark.unlink(missing_ok=True)


def _places(node: Mapping[str, float], threads: int, *, gpu: bool) -> int:
    """How many tasks the resources of a node are enough for."""
    cores = int(node.get("CPU", 0) // threads)
    return min(cores, int(node.get("GPU", 0))) if gpu else cores


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
    _connect(ray, _given(address))
    try:
        yield ray
    finally:
        ray.shutdown()


def _connect(ray: ModuleType, address: str | None) -> None:
    there = None if address in _WORDS else address
    if there is not None:
        _require_answer(there)
    client = there is not None and there.endswith(f":{_CLIENT_PORT}")
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")  # each is told here
    try:
        with nullcontext() if there is None else _few_tries():
            ray.init(
                address=f"ray://{address}" if client else address,
                log_to_driver=False,
                logging_level=logging.WARNING,
            )
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise _no_cluster(address, _reason(error)) from error


@contextmanager
def _few_tries() -> Iterator[None]:
    """Let Ray give up soon at an address where something answers."""
    own = _TRIES not in os.environ
    if own:
        os.environ[_TRIES] = _MOST_TRIES
    try:
        yield
    finally:
        if own:
            del os.environ[_TRIES]


def _reason(error: Exception) -> str:
    """Why Ray could not connect; it keeps the words of what failed first in the error's cause."""
    told = str(error.__cause__ or error).strip().splitlines()
    return told[-1] if told else type(error).__name__


def _call(works: Sequence[Any], threads: int, task: Any) -> Any:
    """Do a task in a worker of Ray.

    Workers with an environment of their own take twice as long to start. Libraries that are there
    before this, as Ray brings numpy, are told their threads; others, that come with the work, read
    them.
    """
    os.environ.update(thread_variables(threads))
    threadpool_limits(threads)
    work = ray_or_problem().get(works[0])
    return work(task)
