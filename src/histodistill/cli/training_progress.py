"""What many trainings tell while they run: bars in a terminal, a few lines in a log."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.progress import TaskID

from histodistill.cli.console import console, say
from histodistill.cli.progress import bars
from histodistill.cli.time_left import Pace, TimeLeft, said
from histodistill.experiment import Experiment
from histodistill.training import Epoch, Failure, Fit
from histodistill.training.loop.epoch import OnEpoch

# Bars of trainings at the same time; a log gets at most so many lines of finished trainings.
_MOST_BARS, _MOST_LINES = 8, 200


class Trainings:
    """Counts trainings, estimates the time left, and shows both.

    It may be told from several threads. In a terminal it shows a bar of all, and one of the epochs
    of each that runs; elsewhere it says a line a finished training, and one from time to time.

    Args:
        waiting: Trainings to come, by method.
        epochs: Epochs of a model of each method at most.
        members: Models of a training of each method; 1 where it is not named.
        earlier: Trainings that an earlier run has finished.
    """

    def __init__(
        self,
        waiting: Mapping[str, int],
        epochs: Mapping[str, int],
        members: Mapping[str, int] | None = None,
        earlier: int = 0,
    ) -> None:
        self.bars = bars()
        self._total = sum(waiting.values()) + earlier
        self._trained, self._failed = earlier, 0
        self._epochs = epochs
        self._left = TimeLeft(waiting, epochs, members)
        self._pace = Pace()
        self._lock = threading.Lock()
        self._over: set[str] = set()  # the last epochs of a worker may be told after its end
        self._all = self.bars.add_task("Trainings", total=self._total, completed=earlier, state="")
        self._own: dict[str, TaskID] = {}

    def on_epoch(self, method: str, training: str, epoch: Epoch) -> None:
        """Take in an epoch of a training of that name."""
        with self._lock:
            if training in self._over:
                return
            self._left.on_epoch(method, training, epoch.epoch)
            if console.is_terminal:
                self._show(method, training, epoch)
            elif self._pace.due():
                say(f"{self._state()}; {training}: {self._reached(method, epoch)}")

    def on_end(self, method: str, training: str, told: str = "", *, failed: bool = False) -> None:
        """Take in that a training has ended, with what is worth telling of it."""
        with self._lock:
            self._over.add(training)
            self._left.on_end(method, training)
            self._trained += not failed
            self._failed += failed
            if console.is_terminal:
                self._hide(training)
            elif failed:
                say(f"Failed: {training}")
            elif self._is_told():
                left = f" ({said(self._left.seconds())})" if self._ended < self._total else ""
                say(f"Trained {self._trained} of {self._total}: {training}{told}{left}")

    @property
    def _ended(self) -> int:
        return self._trained + self._failed

    def _is_told(self) -> bool:
        """Whether a finished training gets its line: each, unless there are very many."""
        every = math.ceil(self._total / _MOST_LINES)
        return self._ended % every == 0 or self._ended == self._total

    def _state(self) -> str:
        failed = f", {self._failed} failed" if self._failed else ""
        return (
            f"{self._trained} of {self._total} trained{failed}, {self._left.running} running, "
            f"{said(self._left.seconds())}"
        )

    def _reached(self, method: str, epoch: Epoch) -> str:
        most = self._epochs.get(method)
        limit = f" of at most {most}" if most else ""
        return f"epoch {epoch.epoch + 1}{limit}: {described(epoch)}"

    def _show(self, method: str, training: str, epoch: Epoch) -> None:
        if training not in self._own:
            visible = len(self._own) < _MOST_BARS
            self._own[training] = self.bars.add_task(
                training, total=self._epochs.get(method), state="", visible=visible
            )
        self.bars.update(self._own[training], completed=epoch.epoch + 1, state=described(epoch))
        self.bars.update(self._all, state=said(self._left.seconds()))

    def _hide(self, training: str) -> None:
        if training in self._own:
            self.bars.remove_task(self._own.pop(training))
        for task in list(self._own.values())[:_MOST_BARS]:
            self.bars.update(task, visible=True)
        left = said(self._left.seconds()) if self._ended < self._total else ""
        self.bars.update(self._all, completed=self._ended, state=left)


class FitsProgress:
    """Watches the fits of a cross-validation.

    Args:
        experiment: What is trained.
        fits: All its fits.

    Attributes:
        trainings: What is shown.
        earlier: Fits that an earlier run has finished.
    """

    def __init__(self, experiment: Experiment, fits: Sequence[Fit]) -> None:
        self.earlier = {fit for fit in fits if fit.finished(experiment.output)}
        self.trainings = Trainings(
            Counter(fit.method for fit in fits if fit not in self.earlier),
            {name: method.training.max_epochs for name, method in experiment.methods.items()},
            {name: method.training.members for name, method in experiment.methods.items()},
            len(self.earlier),
        )
        if self.earlier:
            say(f"{len(self.earlier)} of {len(fits)} trainings were finished by an earlier run.")

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """Show where a training stands."""
        self.trainings.on_epoch(fit.method, str(fit), epoch)

    def on_fit(self, fit: Fit, told: str = "") -> None:
        """Count a training that this run has finished."""
        if fit not in self.earlier:
            self.trainings.on_end(fit.method, str(fit), told)

    def on_failure(self, failure: Failure) -> None:
        """Count a training that failed; why is told at the end."""
        self.trainings.on_end(failure.fit.method, str(failure.fit), failed=True)


@contextmanager
def fits_progress(experiment: Experiment, fits: Sequence[Fit]) -> Iterator[FitsProgress]:
    """Bars, or lines, for a cross-validation."""
    progress = FitsProgress(experiment, fits)
    with progress.trainings.bars:
        yield progress


@contextmanager
def one_training(title: str, max_epochs: int) -> Iterator[OnEpoch]:
    """Bars, or lines, for the epochs of one training."""
    trainings = Trainings({title: 1}, {title: max_epochs})
    with trainings.bars:
        yield lambda epoch: trainings.on_epoch(title, title, epoch)


def described(epoch: Epoch) -> str:
    """Loss, and validation AUC of (S)tudent, (M)ultimodal and (G)enomic, in short."""
    aucs = [
        f"{name[:1].upper()} {value:.2f}"
        for name, value in epoch.validation.items()
        if name.endswith("_auc")
    ]
    return f"loss {epoch.losses['total']:.2f}, AUC {' '.join(aucs)}"
