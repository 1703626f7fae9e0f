"""Tasks through an engine: made of short pieces of work, and tried again where one is lost."""

from __future__ import annotations

import warnings
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

from histodistill.engines.engine import Engine, LostTaskError, Work

T = TypeVar("T")

# A piece whose task is lost so often takes its worker along: it is not tried again.
MOST_LOSSES = 3
# A task is this share of what is left for a slot: tasks become shorter, so that the last ones end
# together (guided self-scheduling, Polychronopoulos and Kuck, 1987).
_SHARE = 1 / 2


def batched(
    pieces: Sequence[T], seconds: Callable[[T], float], engine: Engine
) -> list[tuple[T, ...]]:
    """Pieces of work as tasks that are long enough to be worth starting; the last are the shortest.

    Args:
        pieces: In order; those of a task follow each other.
        seconds: What a piece will take, roughly.
        engine: Says how long a task should be, and how many run at once.
    """
    left = sum(map(seconds, pieces))
    tasks: list[tuple[T, ...]] = []
    own: list[T] = []
    length = 0.0
    for piece in pieces:
        own.append(piece)
        length += seconds(piece)
        if length >= _aim(left, engine):
            tasks.append(tuple(own))
            left -= length
            own, length = [], 0.0
    return [*tasks, tuple(own)] if own else tasks


def _aim(left: float, engine: Engine) -> float:
    """How long the next task should be, where so many seconds of work are left."""
    return min(engine.most_seconds, max(engine.least_seconds, _SHARE * left / engine.slots))


def run_tasks(
    engine: Engine, work: Work, tasks: Sequence[tuple[T, ...]]
) -> Generator[tuple[tuple[T, ...], Any]]:
    """Run tasks, each a tuple of pieces of work; what was begun is cancelled at the end.

    A task that is lost is divided: its pieces come back one by one, so that one that takes its
    worker along does not take the others.

    Args:
        engine: Runs them.
        work: Called with a tuple of pieces; finds out by itself which are done already.
        tasks: The tasks.

    Yields:
        Each task with what the work returned, in the order in which they end; with a
        :class:`LostTaskError` for a piece that was lost again and again.

    Raises:
        InputError: As the work raised it; this ends all.
    """
    waiting = deque(tasks)
    running: dict[int, tuple[T, ...]] = {}
    losses: Counter[T] = Counter()
    try:
        while waiting or running:
            if waiting and len(running) <= engine.room // 2:  # several at once, as an array
                room = min(engine.room - len(running), len(waiting))
                chosen = [waiting.popleft() for _ in range(room)]
                running |= zip(engine.submit(work, chosen), chosen, strict=True)
            for ticket in engine.poll():
                task = running.pop(ticket)
                try:
                    yield task, engine.collect(ticket)
                except LostTaskError as lost:
                    losses.update(task)
                    given_up = tuple(piece for piece in task if losses[piece] >= MOST_LOSSES)
                    again = [(piece,) for piece in task if losses[piece] < MOST_LOSSES]
                    waiting.extend(again)
                    if again:
                        warnings.warn(f"a task was lost and is run again: {lost}", stacklevel=2)
                    if given_up:
                        yield given_up, lost
    finally:
        engine.cancel()
