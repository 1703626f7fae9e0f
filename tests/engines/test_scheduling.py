"""Pieces of work become tasks; a lost task is divided, and costs nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histodistill.engines.engine import LostTaskError
from histodistill.engines.local import InThisProcess
from histodistill.engines.scheduling import MOST_LOSSES, batched, run_tasks
from histodistill.errors import InputError


class Losing(InThisProcess):
    """Loses every task with a certain piece; remembers what it was given."""

    def __init__(self, poison: object = None, room: int = 1) -> None:
        super().__init__()
        self.room = room
        self.least_seconds, self.most_seconds = 5.0, 60.0
        self.poison = poison
        self.arrays: list[int] = []
        self.most = 0
        self.cancelled = False

    def submit(self, work: Any, tasks: Sequence[Any]) -> list[int]:
        self.arrays.append(len(tasks))
        tickets = super().submit(work, tasks)
        self.most = max(self.most, len(self._waiting))
        return tickets

    def collect(self, ticket: int) -> Any:
        answer = super().collect(ticket)
        if self.poison in answer:
            raise LostTaskError("killed")
        return answer

    def cancel(self) -> None:
        super().cancel()
        self.cancelled = True


def same(task: tuple[str, ...]) -> tuple[str, ...]:
    return task


def test_a_piece_that_takes_its_worker_along_takes_nothing_else():
    engine = Losing("bad")
    with pytest.warns(UserWarning, match="a task was lost and is run again: killed"):
        ended = list(run_tasks(engine, same, [("a", "bad", "b"), ("c",)]))
    answers = [answer for _, answer in ended if not isinstance(answer, LostTaskError)]
    assert sorted(answers) == [("a",), ("b",), ("c",)]
    (lost,) = [task for task, answer in ended if isinstance(answer, LostTaskError)]
    assert lost == ("bad",)
    assert sum(engine.arrays) == 2 + 2 + MOST_LOSSES - 1
    assert engine.cancelled


def test_a_problem_of_the_work_ends_all():
    engine = Losing()

    def refuse(task: tuple[str, ...]) -> None:
        raise InputError("no such file")

    with pytest.raises(InputError, match="no such file"):
        list(run_tasks(engine, refuse, [("a",), ("b",)]))
    assert engine.cancelled


def test_no_more_wait_than_there_is_room_for_and_several_come_together():
    engine = Losing(room=10)
    tasks = [(str(n),) for n in range(34)]
    assert sorted(task for task, _ in run_tasks(engine, same, tasks)) == sorted(tasks)
    assert engine.most <= 10
    assert engine.arrays[0] == 10
    assert min(engine.arrays[:-1]) == 5


def test_leaving_early_cancels():
    engine = Losing(room=4)
    run = run_tasks(engine, same, [("a",), ("b",)])
    next(run)
    run.close()
    assert engine.cancelled


@given(st.lists(st.floats(0, 500)), st.integers(1, 50))
def test_batches_keep_the_order_and_are_long_enough(lengths: list[float], slots: int):
    engine = Losing()
    engine.slots = slots
    pieces = list(enumerate(lengths))
    tasks = batched(pieces, lambda piece: piece[1], engine)
    assert [piece for task in tasks for piece in task] == pieces
    sums = [sum(n for _, n in task) for task in tasks]
    for number, task in enumerate(tasks):
        aim = min(60.0, max(5.0, sum(sums[number:]) / (2 * slots)))
        # But for the last, long enough; none goes on once it is.
        assert sums[number] >= aim - 1e-6 or number == len(tasks) - 1
        assert sum(n for _, n in task[:-1]) < aim + 1e-6 or len(task) == 1


def test_the_last_tasks_are_the_shortest():
    engine = Losing()
    engine.slots, engine.most_seconds = 2, 120.0
    tasks = batched(range(100), lambda _: 3.0, engine)
    lengths = [3 * len(task) for task in tasks]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 75
    assert max(lengths[-2:]) == 6


def test_where_starting_costs_nothing_each_piece_is_a_task():
    assert batched("abc", lambda _: 9.0, InThisProcess()) == [("a",), ("b",), ("c",)]
    with warnings.catch_warnings(action="error"):
        assert list(run_tasks(InThisProcess(), same, [("a",)])) == [(("a",), ("a",))]
