"""The fits of a run through an engine: those that others hold are waited for, failures told."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Protocol

import torch

from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import Engine, LostTaskError, Work
from histodistill.engines.sharing import run_shared
from histodistill.experiment import Experiment
from histodistill.training.loop.epoch import Epoch
from histodistill.training.run.attempts import (
    Attempted,
    FitsHere,
    FitsThere,
    Group,
    Recorded,
    claim_names,
    claims_of,
)
from histodistill.training.run.costs import seconds_of_fits
from histodistill.training.run.epochs_elsewhere import epochs_elsewhere
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.planned_fits import Fit
from histodistill.training.run.worker_epochs import epochs_of_workers, tell_epoch

# What a scheduler writes, in the folder of the results.
_TASKS = ".tasks"


@dataclass(frozen=True)
class Failure:
    """A fit that could not be finished, and why, in sentences."""

    fit: Fit
    problems: tuple[str, ...]

    def sentences(self) -> list[str]:
        """The problems, each with the fit's name."""
        return [f"{self.fit}: {problem}" for problem in self.problems]


class Watcher(Protocol):
    """What wants to know how a cross-validation proceeds."""

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """After every epoch of a training on this machine; of others, each few seconds the last."""

    def on_fit(self, fit: Fit) -> None:
        """After every training, those that an earlier run had finished included."""

    def on_failure(self, failure: Failure) -> None:
        """After a training that failed."""


class Silent:
    """Watches without a word."""

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """Say nothing."""

    def on_fit(self, fit: Fit) -> None:
        """Say nothing."""

    def on_failure(self, failure: Failure) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Running:
    """Where the trainings of a run are done.

    Attributes:
        place: The engine.
        jobs: Trainings at the same time, each in a process of its own; by default 1 on this
            machine, in this process, and as many as there is room for elsewhere.
        threads: Threads of each; by default the cores are divided among the jobs on this machine,
            and 1 elsewhere.
    """

    place: Place = field(default_factory=Place)
    jobs: int | None = None
    threads: int | None = None

    @property
    def threads_of_each(self) -> int:
        """Threads of a training."""
        here = max(1, torch.get_num_threads() // (self.jobs or 1))
        return self.threads or (here if self.place.engine == "local" else 1)


def run_fits(
    runner: FitRunner, fits: Sequence[Fit], watcher: Watcher, running: Running
) -> list[Failure]:
    """Run all fits that are not finished yet, and that no other process is at work on.

    Fits that are faster together share a process, and their trainings a pass. Those that another
    process has claimed are waited for, and taken over where it dies.

    Args:
        runner: Runs one.
        fits: All fits.
        watcher: Told of epochs and of every fit; with several jobs of epochs in another thread.
        running: Where they are done.

    Returns:
        Those that failed.
    """
    finished, waiting = _divided(fits, runner.experiment.output)
    for fit in finished:
        watcher.on_fit(fit)
    if not waiting:
        return []
    failures = []
    attempts = _attempts(runner, fits, list(waiting.values()), watcher, running)
    with closing(attempts):  # at once, whatever ends this: workers shall not go on
        for fit, problems in _outcomes(attempts, waiting):
            if problems:
                failures.append(Failure(fit, problems))
                watcher.on_failure(failures[-1])
            else:
                watcher.on_fit(fit)
    return failures


def _divided(fits: Sequence[Fit], output: Path) -> tuple[list[Fit], dict[str, Fit]]:
    """The fits that are finished, and the others by name."""
    finished = [fit for fit in fits if fit.finished(output)]
    done = set(finished)
    return finished, {str(fit): fit for fit in fits if fit not in done}


def passes(runner: FitRunner, fits: Sequence[Fit]) -> list[tuple[Fit, ...]]:
    """The fits, those together that share a pass: of one method, in order."""
    groups: list[tuple[Fit, ...]] = []
    for method, own in groupby(fits, lambda fit: fit.method):
        alike, size = tuple(own), runner.fits_in_a_pass(method)
        groups += [alike[first : first + size] for first in range(0, len(alike), size)]
    return groups


def _attempts(
    runner: FitRunner, fits: Sequence[Fit], waiting: Sequence[Fit], watcher: Watcher, how: Running
) -> Generator[tuple[Group, Attempted | LostTaskError]]:
    """What becomes of the groups with fits that wait."""
    experiment = runner.experiment
    seconds = seconds_of_fits(fits, experiment.output)
    prices = {str(fit): seconds[fit.method] for fit in waiting}
    # Of all fits, whatever is finished: the same for every process that shares the folder.
    groups = [tuple(str(fit) for fit in group) for group in passes(runner, fits)]
    with (
        engine_of(experiment, how) as engine,
        _work(runner, fits, watcher, how) as work,
        claims_of(experiment) as claims,
    ):
        yield from run_shared(
            engine,
            work,
            [group for group in groups if any(name in prices for name in group)],
            lambda group: sum(prices.get(name, 0.0) for name in group),
            claims,
            claim_names,
        )


def _outcomes(
    attempts: Iterable[tuple[Group, Attempted | LostTaskError]], waiting: Mapping[str, Fit]
) -> Iterator[tuple[Fit, tuple[str, ...]]]:
    """What became of each fit that waited, as its problems; warnings are told."""
    problems: dict[str, tuple[str, ...]]
    for group, ended in attempts:
        if isinstance(ended, LostTaskError):
            told = f"its worker ended each time that it was tried, last: {ended}"
            problems = dict.fromkeys(group, (told,))
        else:
            problems = ended.problems
            for text in ended.warned:
                warnings.warn(text, stacklevel=2)
        yield from ((waiting[name], own) for name, own in problems.items() if name in waiting)


def engine_of(experiment: Experiment, running: Running) -> AbstractContextManager[Engine]:
    """The engine of a run."""
    return opened(
        running.place,
        experiment.output / _TASKS,
        jobs=running.jobs,
        threads=running.threads_of_each,
        gpu=any(m.training.device.startswith("cuda") for m in experiment.methods.values()),
    )


@contextmanager
def _work(
    runner: FitRunner, fits: Sequence[Fit], watcher: Watcher, running: Running
) -> Iterator[Work]:
    """What a task does: with this process's data on this machine, with its own elsewhere."""
    threads = running.threads_of_each
    if running.place.engine != "local":
        with epochs_elsewhere(fits, runner.experiment.output, watcher.on_epoch):
            yield FitsThere(runner.experiment, threads, tensorboard=runner.tensorboard)
    elif running.jobs in (None, 1):
        yield FitsHere(runner, fits, threads, watcher.on_epoch)
    else:
        with epochs_of_workers(fits, watcher.on_epoch) as address:
            yield Recorded(FitsHere(runner, fits, threads, partial(tell_epoch, address)))
