"""One task on an engine, such as one long training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import LostTaskError, Work
from histodistill.engines.scheduling import run_tasks
from histodistill.errors import InputError


def run_one(
    place: Place, folder: Path, work: Work, *, threads: int | None = None, gpu: bool = False
) -> Any:
    """What the work returns; it is called once, with a tuple of its own name.

    Args:
        place: Where.
        folder: Gets what a scheduler writes.
        work: The work.
        threads: Threads of the task.
        gpu: Whether it reserves a GPU.

    Raises:
        InputError: As the work raised it, or its worker ended each time.
    """
    with opened(place, folder, threads=threads, gpu=gpu) as engine:
        ((_, answer),) = run_tasks(engine, work, [(type(work).__name__,)])
    if isinstance(answer, LostTaskError):
        raise InputError(f"the worker ended each time that it was tried, last: {answer}")
    return answer
