"""The fits of a run through an engine: those that others hold are waited for, failures told."""

from __future__ import annotations

import time
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from typing import Protocol

import torch

from histodistill.engines.choice import Place, opened
from histodistill.engines.engine import Engine, LostTaskError, Work
from histodistill.engines.scheduling import batched, run_tasks
from histodistill.experiment import Experiment
from histodistill.training.loop.epoch import Epoch
from histodistill.training.run.attempts import (
    Attempted,
    FitsHere,
    FitsThere,
    Group,
    Outcome,
    Recorded,
    claim_name,
    claims_of,
)
from histodistill.training.run.costs import seconds_of_fits
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.planned_fits import Fit
from histodistill.training.run.worker_epochs import epochs_of_workers, tell_epoch

# What a scheduler writes, in the folder of the results.
_TASKS = ".tasks"
# Between looks at what other processes hold.
_WAIT_SECONDS = 1.0


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
        """After every epoch of a training on this machine."""

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
    output = runner.experiment.output
    waiting = {}
    for fit in fits:
        if fit.finished(output):
            watcher.on_fit(fit)
        else:
            waiting[str(fit)] = fit
    if not waiting:
        return []
    failures = []
    for outcome in _outcomes(runner, fits, waiting, watcher, running):
        fit = waiting.pop(outcome.fit)
        if outcome.problems:
            failures.append(Failure(fit, outcome.problems))
            watcher.on_failure(failures[-1])
        else:
            watcher.on_fit(fit)
    return failures


def passes(runner: FitRunner, fits: Sequence[Fit]) -> list[tuple[Fit, ...]]:
    """The fits, those together that share a pass: of one method, in order."""
    groups: list[tuple[Fit, ...]] = []
    for method, own in groupby(fits, lambda fit: fit.method):
        alike, size = tuple(own), runner.fits_in_a_pass(method)
        groups += [alike[first : first + size] for first in range(0, len(alike), size)]
    return groups


def _outcomes(
    runner: FitRunner,
    fits: Sequence[Fit],
    waiting: Mapping[str, Fit],
    watcher: Watcher,
    running: Running,
) -> Iterator[Outcome]:
    """What becomes of each fit that waits; round by round, while others hold some."""
    experiment = runner.experiment
    seconds = seconds_of_fits(fits, experiment.output)
    # Of all fits, whatever is finished: the same for every process that shares the folder.
    groups = [tuple(str(fit) for fit in group) for group in passes(runner, fits)]

    def price(group: Group) -> float:
        return sum(seconds[waiting[name].method] for name in group)

    with (
        _engine(experiment, running) as engine,
        _work(runner, list(waiting.values()), watcher, running) as work,
    ):
        while groups := _with_waiting(groups, waiting):
            tasks = batched(_free(experiment, groups), price, engine)
            for outcome in _ended(engine, work, tasks):
                if not outcome.elsewhere:
                    yield outcome


@contextmanager
def _engine(experiment: Experiment, running: Running) -> Iterator[Engine]:
    """The engine, which tells what to know of it."""
    with opened(
        running.place,
        experiment.output / _TASKS,
        jobs=running.jobs,
        threads=running.threads_of_each,
        gpu=any(m.training.device.startswith("cuda") for m in experiment.methods.values()),
    ) as engine:
        for note in engine.notes:
            warnings.warn(note, stacklevel=2)
        yield engine


def _with_waiting(groups: Sequence[Group], waiting: Collection[str]) -> list[Group]:
    """The groups without fits that are over."""
    left = (tuple(name for name in group if name in waiting) for group in groups)
    return [group for group in left if group]


def _free(experiment: Experiment, groups: Sequence[Group]) -> list[Group]:
    """Groups that nobody holds a fit of; waits until there is one."""
    with claims_of(experiment) as claims:
        while True:
            free = [g for g in groups if not any(claims.is_held(claim_name(n)) for n in g)]
            if free:
                return free
            time.sleep(_WAIT_SECONDS)


def _ended(engine: Engine, work: Work, tasks: Sequence[tuple[Group, ...]]) -> Iterator[Outcome]:
    """What became of the fits of tasks."""
    for task, attempted in run_tasks(engine, work, tasks):
        if isinstance(attempted, LostTaskError):
            told = f"its worker ended each time that it was tried, last: {attempted}"
            yield from (Outcome(name, (told,)) for group in task for name in group)
            continue
        assert isinstance(attempted, Attempted)
        for text in attempted.warned:
            warnings.warn(text, stacklevel=2)
        yield from attempted.outcomes


@contextmanager
def _work(
    runner: FitRunner, fits: Sequence[Fit], watcher: Watcher, running: Running
) -> Iterator[Work]:
    """What a task does: with this process's data on this machine, with its own elsewhere."""
    threads = running.threads_of_each
    if running.place.engine != "local":
        yield FitsThere(runner.experiment, threads, tensorboard=runner.tensorboard)
    elif running.jobs in (None, 1):
        yield FitsHere(runner, fits, threads, watcher.on_epoch)
    else:
        with epochs_of_workers(fits, watcher.on_epoch) as address:
            yield Recorded(FitsHere(runner, fits, threads, partial(tell_epoch, address)))
