"""Fits one after the other or side by side; one that fails does not stop the others."""

from __future__ import annotations

import os
import signal
import traceback
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Protocol

import joblib
import torch

from histodistill.errors import InputError
from histodistill.files import write_text
from histodistill.training.fit.trainings import in_one_pass
from histodistill.training.loop.epoch import Epoch
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.planned_fits import Fit
from histodistill.training.run.worker_epochs import epochs_of_workers, tell_epoch
from histodistill.workers import end_with_parent

FAILURE = "failure.txt"


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
        """After every epoch."""

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


class _Telling(Silent):
    """Tells the process that started this one of epochs; that one sees the outcomes anyway."""

    def __init__(self, address: str) -> None:
        self._address = address

    def on_epoch(self, fit: Fit, epoch: Epoch) -> None:
        """Tell of it."""
        tell_epoch(self._address, fit, epoch)


def run_fits(
    runner: FitRunner, fits: Sequence[Fit], watcher: Watcher, *, jobs: int, threads: int | None
) -> list[Failure]:
    """Run all fits that are not finished yet.

    Args:
        runner: Runs one.
        fits: All fits.
        watcher: Told of epochs and of every fit; with several jobs of epochs in another thread.
        jobs: Fits at the same time, each in a process of its own; 1 stays in this process.
            Fits that are faster together share a process, and their trainings a pass.
        threads: Threads of a fit; by default the cores are divided among the jobs.

    Returns:
        Those that failed.
    """
    waiting = []
    for fit in fits:
        if fit.finished(runner.experiment.output):
            watcher.on_fit(fit)
        else:
            waiting.append(fit)
    threads = threads or max(1, torch.get_num_threads() // jobs)
    failures = []
    outcomes = (
        _one_by_one(runner, passes(runner, waiting), watcher, threads)
        if jobs == 1
        else _side_by_side(runner, passes(runner, waiting), watcher, jobs, threads)
    )
    with closing(outcomes):  # at once, whatever ends this: workers shall not go on
        for fit, failure in outcomes:
            if failure is None:
                watcher.on_fit(fit)
            else:
                failures.append(failure)
                watcher.on_failure(failure)
    return failures


Outcome = tuple[Fit, Failure | None]


def passes(runner: FitRunner, fits: Sequence[Fit]) -> list[tuple[Fit, ...]]:
    """The fits, those together that share a pass: of one method, in order."""
    groups: list[tuple[Fit, ...]] = []
    for method, own in groupby(fits, lambda fit: fit.method):
        alike, size = tuple(own), runner.fits_in_a_pass(method)
        groups += [alike[first : first + size] for first in range(0, len(alike), size)]
    return groups


def _one_by_one(
    runner: FitRunner, groups: Sequence[Sequence[Fit]], watcher: Watcher, threads: int
) -> Generator[Outcome]:
    with _torch_threads(threads):
        for fits in groups:
            yield from _attempt(runner, fits, watcher)


def _side_by_side(
    runner: FitRunner, groups: Sequence[Sequence[Fit]], watcher: Watcher, jobs: int, threads: int
) -> Generator[Outcome]:
    waiting = [fit for fits in groups for fit in fits]
    with epochs_of_workers(waiting, watcher.on_epoch) as address:
        yield from _of_workers(runner, groups, address, jobs, threads)


def _of_workers(
    runner: FitRunner, groups: Sequence[Sequence[Fit]], address: str, jobs: int, threads: int
) -> Generator[Outcome]:
    with joblib.parallel_config(backend="loky", inner_max_num_threads=threads):
        parallel = joblib.Parallel(
            n_jobs=jobs,
            return_as="generator_unordered",
            batch_size=1,
            initializer=_begin,
            initargs=(runner, threads, os.getpid()),
        )
        outcomes = parallel(joblib.delayed(_attempt_here)(fits, address) for fits in groups)
    try:
        for together, warned in outcomes:
            for text in warned:
                warnings.warn(text, stacklevel=2)
            yield from together
    except BrokenProcessPool as error:
        raise InputError(
            "a process that trained was ended, most likely for lack of memory; what is finished "
            "is kept: run the same command again with fewer --jobs"
        ) from error
    finally:
        with warnings.catch_warnings(action="ignore"):  # that some fits are not done is known
            outcomes.close()  # ends the workers then


# A worker's own, sent to it once, with the bags that it has read and the folds it has prepared.
_runner: list[FitRunner] = []


def _begin(runner: FitRunner, threads: int, parent: int) -> None:
    """Make a worker ready."""
    # They reach every process of a terminal or a job: the parent decides, and ends its workers.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent(parent)
    torch.set_num_threads(threads)
    _runner[:] = [runner]


def _attempt_here(fits: Sequence[Fit], address: str) -> tuple[list[Outcome], list[str]]:
    """The outcomes, and what was warned of on the way, which the parent tells."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default", UserWarning)
        outcomes = list(_attempt(_runner[0], fits, _Telling(address)))
    warned = [str(each.message) for each in seen if issubclass(each.category, UserWarning)]
    return outcomes, list(dict.fromkeys(warned))


def _attempt(runner: FitRunner, fits: Sequence[Fit], watcher: Watcher) -> Iterator[Outcome]:
    """Run fits together; a failure is written down beside its results and told."""
    steps = {fit: runner.steps(fit, partial(watcher.on_epoch, fit)) for fit in fits}
    for fit, ended in in_one_pass(steps, min(runner.models_in_a_pass(f.method) for f in fits)):
        path = fit.folder(runner.experiment.output) / FAILURE
        if isinstance(ended, Exception):
            yield fit, _failure(fit, ended, path)
        else:
            path.unlink(missing_ok=True)
            yield fit, None


def _failure(fit: Fit, error: Exception, path: Path) -> Failure:
    write_text(path, "".join(traceback.format_exception(error)))
    unforeseen = (f"{type(error).__name__}: {error} ({path} tells where)",)
    return Failure(fit, error.problems if isinstance(error, InputError) else unforeseen)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
