"""Tasks in this process, one after the other, or in several processes of this machine."""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import count
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from histodistill.engines.engine import Work, thread_variables
from histodistill.errors import InputError
from histodistill.workers import end_with_parent

_POLL_SECONDS = 1.0


class InThisProcess:
    """One task at a time, here; each runs when :meth:`poll` is called."""

    room, slots = 1, 1
    least_seconds, most_seconds = 0.0, 0.0
    notes: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._numbers = count()
        self._waiting: deque[tuple[int, Work, Any]] = deque()
        self._answers: dict[int, Any] = {}

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Put tasks into the queue."""
        tickets = [next(self._numbers) for _ in tasks]
        self._waiting += [(t, work, task) for t, task in zip(tickets, tasks, strict=True)]
        return tickets

    def poll(self) -> list[int]:
        """Run the next task."""
        if not self._waiting:
            return []
        ticket, work, task = self._waiting.popleft()
        self._answers[ticket] = work(task)
        return [ticket]

    def collect(self, ticket: int) -> Any:
        """What it returned."""
        return self._answers.pop(ticket)

    def cancel(self) -> None:
        """Forget what waits."""
        self._waiting.clear()


class LocalProcesses:
    """Several tasks at a time, each in a process of this machine.

    Args:
        jobs: Processes. Each gets the work once, and keeps it for its next task.
        threads: Threads that the libraries of each take.
    """

    least_seconds, most_seconds = 0.0, 0.0
    notes: tuple[str, ...] = ()

    def __init__(self, jobs: int, threads: int) -> None:
        self.slots, self.room = jobs, 2 * jobs
        self._threads = threads
        self._numbers = count()
        self._work: Work | None = None
        self._executor: ProcessPoolExecutor | None = None
        self._futures: dict[Future[Any], int] = {}
        self._ended: dict[int, Future[Any]] = {}

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Hand tasks to the processes, which are started for work that is new."""
        if self._executor is None or work is not self._work:
            self._begin(work)
        assert self._executor is not None
        tickets = [next(self._numbers) for _ in tasks]
        for ticket, task in zip(tickets, tasks, strict=True):
            self._futures[self._executor.submit(_work_here, task)] = ticket
        return tickets

    def poll(self) -> list[int]:
        """Those that have ended."""
        done, _ = wait(self._futures, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
        told = {self._futures.pop(future): future for future in done}
        self._ended |= told
        return sorted(told)

    def collect(self, ticket: int) -> Any:
        """What it returned, or raised.

        Raises:
            InputError: Its process was ended, and all others with it.
        """
        try:
            return self._ended.pop(ticket).result()
        except BrokenProcessPool as error:
            raise InputError(
                "a worker process was ended, most likely for lack of memory; what is finished "
                "is kept: run the same command again with fewer --jobs"
            ) from error

    def cancel(self) -> None:
        """End the processes, at once."""
        if self._executor is not None:
            with warnings.catch_warnings(action="ignore"):  # that tasks are not done is known
                self._executor.shutdown(wait=True, kill_workers=True)
        self._executor = None
        self._futures.clear()

    def _begin(self, work: Work) -> None:
        self.cancel()
        self._work = work
        self._executor = ProcessPoolExecutor(
            max_workers=self.slots,
            initializer=_begin_worker,
            initargs=(work, os.getpid()),
            env=thread_variables(self._threads),
        )


# A worker's own, sent to it once, with what it has read and prepared.
_work: list[Work] = []


def _begin_worker(work: Work, parent: int) -> None:
    """Make a worker ready."""
    # They reach every process of a terminal or a job: the parent decides, and ends its workers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(parent)
    _work[:] = [work]


def _work_here(task: Any) -> Any:
    return _work[0](task)
