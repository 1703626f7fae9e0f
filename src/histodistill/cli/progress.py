"""How far long work is: a bar in a terminal, a line a minute in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from histodistill.cli.console import console, say
from histodistill.cli.time_left import Pace, said

if TYPE_CHECKING:
    from histodistill.extraction import SlideRecord

OnProgress = Callable[[int, int], None]


def bars(*, timed: bool = False) -> Progress:
    """Bars with a text beside each; ``timed`` adds the time left at an even pace.

    In a log file a bar is noise: there they stay silent, and lines are said instead.
    """
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        *((TimeRemainingColumn(),) if timed else ()),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
        console=console,
        disable=not console.is_terminal,
    )


@contextmanager
def counting(title: str) -> Iterator[OnProgress]:
    """A bar, or a line a minute, for work that is told as (done, total)."""
    started, pace = time.monotonic(), Pace()
    with bars(timed=True) as shown:
        task = shown.add_task(title, total=None, state="")

        def told(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)
            if not console.is_terminal and pace.due():
                left = _left(started, done, total)
                say(f"{title}: {done} of {total}, {said(left)}")

        yield told


def _left(started: float, done: float, total: float) -> float | None:
    """Seconds left at an even pace."""
    return (time.monotonic() - started) * (total - done) / done if done else None


class ExtractionProgress:
    """A bar of slides with patches a second and time left; a context manager.

    Args:
        n_slides: Slides of the run.
    """

    def __init__(self, n_slides: int) -> None:
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[done]}/{task.total:.0f} slides"),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("reading", total=n_slides, done=0, speed="")
        self._n_slides = n_slides
        self._done = self._earlier = 0
        self._slide_patches = 1
        self._patches = 0
        self._start = time.monotonic()
        self._pace = Pace()

    def __enter__(self) -> ExtractionProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def slide_started(self, slide_id: str, n_patches: int) -> None:
        """Name the slide and begin to fill its share of the bar."""
        self._slide_patches = max(n_patches, 1)
        self._bar.update(self._task, description=slide_id[:40])

    def patches_encoded(self, n_patches: int) -> None:
        """Fill the bar by a part of a slide."""
        self._patches += n_patches
        self._bar.update(self._task, advance=n_patches / self._slide_patches, speed=self._speed())
        self._say_at_times()

    def slide_finished(self, record: SlideRecord, *, earlier: bool) -> None:  # noqa: ARG002
        """Count a slide; what it lacks of its share of the bar is filled."""
        self._done += 1
        self._earlier += earlier
        self._bar.update(self._task, completed=self._done, done=self._done)
        self._say_at_times()

    def _speed(self) -> str:
        return f"{self._patches / max(time.monotonic() - self._start, 1e-9):.0f} patches/s"

    def _say_at_times(self) -> None:
        if not console.is_terminal and self._pace.due():
            own, total = self._done - self._earlier, self._n_slides - self._earlier
            left = said(_left(self._start, own, total))
            say(f"{self._done} of {self._n_slides} slides, {self._speed()}, {left}")
