"""Progress bars on long work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
from histodistill.extraction import SlideRecord
from histodistill.training import Failure, Fit
from histodistill.training.loop.epoch import Epoch, OnEpoch


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", table_column=Column(no_wrap=True)),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}", table_column=Column(no_wrap=True)),
        console=console,
        # In a log file a bar is noise; finished trainings are told one by one instead.
        disable=not console.is_terminal,
    )


@contextmanager
def reading_bags() -> Iterator[Callable[[int, int], None]]:
    """A bar for reading the bags, to be called with (done, total)."""
    with _bar() as bar:
        task = bar.add_task("Reading bags", total=None, state="")
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for anything that is counted, to be called with (done, total)."""
    with _bar() as bar:
        task = bar.add_task(what, total=None, state="")
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def packing_bags() -> Iterator[Callable[[int, int], None]]:
    """A bar for packing the slides' features, to be called with (done, total)."""
    with _bar() as bar:
        task = bar.add_task("Packing slides", total=None, state="")
        yield lambda done, total: bar.update(task, completed=done, total=total)


class TrainingBars:
    """A bar for all trainings, and one for the epochs of the training at hand."""

    def __init__(self, bar: Progress, trainings: int, max_epochs: int) -> None:
        self._bar = bar
        self._trainings = trainings
        self._done = 0
        self._all = bar.add_task("Trainings", total=trainings, state="")
        self._one = bar.add_task("Epochs", total=max_epochs, state="", visible=False)

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """Show the losses and validation figures of an epoch."""
        self._bar.update(
            self._one,
            description=str(fit),
            completed=epoch.epoch + 1,
            state=describe(epoch),
            visible=True,
        )

    def on_fit(self, fit: Fit) -> None:
        """Count a finished training."""
        self._done += 1
        self._bar.update(self._all, completed=self._done, state=f"{fit.target} {fit.method}")
        if not console.is_terminal:
            say(f"Trained {self._done} of {self._trainings}: {fit}")

    def on_failure(self, failure: Failure) -> None:
        """Tell a training that failed; why is told at the end."""
        say(f"Failed: {failure.fit}")


@contextmanager
def training_bars(trainings: int, max_epochs: int) -> Iterator[TrainingBars]:
    """Bars for a cross-validation."""
    with _bar() as bar:
        yield TrainingBars(bar, trainings, max_epochs)


@contextmanager
def epoch_bar(title: str, max_epochs: int) -> Iterator[OnEpoch]:
    """A bar for the epochs of one training."""
    with _bar() as bar:
        task = bar.add_task(title, total=max_epochs, state="")
        yield lambda epoch: bar.update(task, completed=epoch.epoch + 1, state=describe(epoch))


def describe(epoch: Epoch) -> str:
    """Loss, and validation AUC of (S)tudent, (M)ultimodal and (G)enomic, in short."""
    aucs = [
        f"{name[:1].upper()} {value:.2f}"
        for name, value in epoch.validation.items()
        if name.endswith("_auc")
    ]
    return f"loss {epoch.losses['total']:.2f}, AUC {' '.join(aucs)}"


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
        )
        self._task = self._bar.add_task("reading", total=n_slides, done=0, speed="")
        self._done = 0
        self._slide_patches = 1
        self._patches = 0
        self._start = time.monotonic()

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
        rate = self._patches / max(time.monotonic() - self._start, 1e-9)
        self._bar.update(
            self._task, advance=n_patches / self._slide_patches, speed=f"{rate:.0f} patches/s"
        )

    def slide_finished(self, record: SlideRecord, *, earlier: bool) -> None:  # noqa: ARG002
        """Count a slide; what it lacks of its share of the bar is filled."""
        self._done += 1
        self._bar.update(self._task, completed=self._done, done=self._done)
