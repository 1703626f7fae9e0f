"""Pieces of work that several drivers share: each is claimed, and done by one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from histodistill.claims import Claims
from histodistill.engines.engine import Engine, LostTaskError, Work
from histodistill.engines.scheduling import batched, run_tasks

T = TypeVar("T")

# Between looks at what other processes hold.
_WAIT_SECONDS = 1.0


@contextmanager
def all_claimed(names: Sequence[str], claims: Claims) -> Iterator[bool]:
    """Claim all of these names or none; whether they are claimed while the block runs."""
    taken: list[str] = []
    try:
        for name in names:
            if not claims.take(name):
                break
            taken.append(name)
        yield len(taken) == len(names)
    finally:
        for name in taken:
            claims.release(name)


def run_shared(
    engine: Engine,
    work: Work,
    pieces: Sequence[T],
    seconds: Callable[[T], float],
    claims: Claims,
    names: Callable[[T], Sequence[str]],
) -> Iterator[tuple[T, Any]]:
    """Run pieces of work that other drivers may be at work on too, round by round.

    Args:
        engine: Runs them.
        work: Called with a tuple of pieces. It claims each by its names (:func:`all_claimed`)
            and returns a sequence with an answer for each: None where another process holds it.
        pieces: The pieces; those that others have finished, the work finds out.
        seconds: What a piece will take, roughly.
        claims: Those of the shared folder.
        names: What a piece is claimed by.

    Yields:
        Each piece with its answer, or with the :class:`LostTaskError` that ended it again and
        again. Those that others hold come when they are free, finished or not.

    Raises:
        InputError: As the work raised it.
    """
    waiting = dict.fromkeys(pieces)
    while waiting:
        tasks = batched(_free(list(waiting), claims, names), seconds, engine)
        for task, answers in run_tasks(engine, work, tasks):
            each = [answers] * len(task) if isinstance(answers, LostTaskError) else answers
            for piece, answer in zip(task, each, strict=True):
                if answer is not None:
                    del waiting[piece]
                    yield piece, answer


def _free(pieces: Sequence[T], claims: Claims, names: Callable[[T], Sequence[str]]) -> list[T]:
    """The pieces that no process holds; waits until there is one."""
    while True:
        free = [piece for piece in pieces if not any(map(claims.is_held, names(piece)))]
        if free:
            return free
        time.sleep(_WAIT_SECONDS)
