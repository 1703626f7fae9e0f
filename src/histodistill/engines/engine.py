"""The interface that all engines share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Work = Callable[[Any], Any]

# Read by the libraries that compute, when they start.
_THREAD_VARIABLES = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NUMEXPR_NUM_THREADS"),
)


class LostTaskError(Exception):
    """A task ended without an answer: its process, its machine or its allocation did."""


class Engine(Protocol):
    """Runs tasks, each independent of the others.

    Attributes:
        room: Tasks that may wait and run at the same time.
        slots: Tasks that run at the same time, as far as it is known.
        least_seconds: How long a task should take at least, as starting one costs something.
        most_seconds: How long a task should take at most, as it may be lost; 0 where each piece of
            work is a task.
        notes: What to know of it, in sentences.
    """

    room: int
    slots: int
    least_seconds: float
    most_seconds: float
    notes: tuple[str, ...]

    def submit(self, work: Work, tasks: Sequence[Any]) -> list[int]:
        """Let ``work`` be called with each task somewhere; a ticket for each.

        Args:
            work: What is done, the same for all. It and the tasks travel to other machines.
            tasks: What it is called with.
        """

    def poll(self) -> list[int]:
        """Tickets of tasks that have ended and were not told before; waits a moment for one."""

    def collect(self, ticket: int) -> Any:
        """What the work returned for an ended task; once.

        Raises:
            InputError: As the work raised it.
            LostTaskError: The task ended without an answer.
            Exception: The work has a bug; of another machine a RuntimeError that tells where.
        """

    def cancel(self) -> None:
        """End what waits and what runs."""


def thread_variables(threads: int) -> dict[str, str]:
    """The environment of a process whose libraries shall take so many threads."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))
