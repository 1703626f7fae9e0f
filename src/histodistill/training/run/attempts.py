"""Fits that are attempted: claimed, so that nobody else does; one that fails stops no other."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import torch

from histodistill.claims import Claims
from histodistill.errors import InputError
from histodistill.experiment import Experiment, load
from histodistill.files import folder_name, write_text
from histodistill.training.fit.trainings import in_one_pass
from histodistill.training.loop.epoch import Epoch
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.planned_fits import Fit, fits_of

FAILURE = "failure.txt"
_CLAIMS = ".claims"

TellEpoch = Callable[[Fit, Epoch], None]
# Fits that share a pass, by their names: the pieces that tasks are made of.
Group = tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of a fit, told in words that travel.

    Attributes:
        fit: Its name.
        problems: Why it failed, in sentences; none where it is finished.
        elsewhere: Another process is at work on it.
    """

    fit: str
    problems: tuple[str, ...] = ()
    elsewhere: bool = False


@dataclass(frozen=True)
class Attempted:
    """What became of the fits of a task.

    Attributes:
        outcomes: One a fit.
        warned: What was warned of on the way, for whoever submitted the task to tell.
    """

    outcomes: tuple[Outcome, ...]
    warned: tuple[str, ...] = ()


def claims_of(experiment: Experiment) -> Claims:
    """The claims on fits of an experiment's folder."""
    return Claims(experiment.output / _CLAIMS)


def claim_name(fit: str) -> str:
    """The name of the claim on a fit."""
    return folder_name(fit)


class FitsHere:
    """Attempts fits with the data that this process has, or the one that started it.

    Args:
        runner: Runs one.
        fits: All that may be asked for.
        threads: Threads of PyTorch.
        on_epoch: Told of epochs.
    """

    def __init__(
        self, runner: FitRunner, fits: Sequence[Fit], threads: int, on_epoch: TellEpoch
    ) -> None:
        self._runner = runner
        self._fits = {str(fit): fit for fit in fits}
        self._threads = threads
        self._on_epoch = on_epoch

    def __call__(self, task: Sequence[Group]) -> Attempted:
        """Attempt the groups of a task, one after the other."""
        with torch_threads(self._threads), claims_of(self._runner.experiment) as claims:
            outcomes = [
                outcome
                for group in task
                for outcome in self._attempt([self._fits[name] for name in group], claims)
            ]
        return Attempted(tuple(outcomes))

    def _attempt(self, group: Sequence[Fit], claims: Claims) -> Iterator[Outcome]:
        """Run a group that nobody else has claimed a fit of: its fits share a pass."""
        with _claimed(group, claims) as mine:
            if not mine:
                yield from (Outcome(str(fit), elsewhere=True) for fit in group)
                return
            open_fits = []
            for fit in group:
                if fit.finished(self._runner.experiment.output):
                    yield Outcome(str(fit))
                else:
                    open_fits.append(fit)
            yield from self._run(open_fits)

    def _run(self, fits: Sequence[Fit]) -> Iterator[Outcome]:
        """Run fits together; a failure is written down beside its results and told."""
        if not fits:
            return
        steps = {fit: self._runner.steps(fit, partial(self._on_epoch, fit)) for fit in fits}
        most = min(self._runner.models_in_a_pass(fit.method) for fit in fits)
        for fit, ended in in_one_pass(steps, most):
            path = fit.folder(self._runner.experiment.output) / FAILURE
            if isinstance(ended, Exception):
                write_text(path, "".join(traceback.format_exception(ended)))
                unforeseen = (f"{type(ended).__name__}: {ended} ({path} tells where)",)
                told = ended.problems if isinstance(ended, InputError) else unforeseen
                yield Outcome(str(fit), told)
            else:
                path.unlink(missing_ok=True)
                yield Outcome(str(fit))


class FitsThere:
    """Attempts fits on any machine that sees the experiment's files, which it reads itself.

    Packed bags are mapped from the machine's own disk or a shared one, as the experiment says;
    a process that is given another task has its data at hand.

    Args:
        experiment: The experiment.
        threads: Threads of PyTorch.
        tensorboard: Write TensorBoard events beside the training curves.
    """

    def __init__(self, experiment: Experiment, threads: int, *, tensorboard: bool = False) -> None:
        self._experiment = experiment.model_dump_json()
        self._threads = threads
        self._tensorboard = tensorboard

    def __call__(self, task: Sequence[Group]) -> Attempted:
        """Attempt the groups of a task."""
        runner, fits = _opened(self._experiment, self._tensorboard)
        return Recorded(FitsHere(runner, fits, self._threads, _untold))(task)


class Recorded:
    """Keeps warnings of another process for the one that tells them.

    Args:
        work: What may warn.
    """

    def __init__(self, work: FitsHere) -> None:
        self._work = work

    def __call__(self, task: Sequence[Group]) -> Attempted:
        """Attempt the groups of a task."""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("default", UserWarning)
            outcomes = self._work(task).outcomes
        warned = [str(each.message) for each in seen if issubclass(each.category, UserWarning)]
        return Attempted(outcomes, tuple(dict.fromkeys(warned)))


@contextmanager
def _claimed(group: Sequence[Fit], claims: Claims) -> Iterator[bool]:
    """Claim all fits of a group or none; whether they are claimed."""
    taken: list[str] = []
    try:
        for name in (claim_name(str(fit)) for fit in group):
            if not claims.take(name):
                break
            taken.append(name)
        yield len(taken) == len(group)
    finally:
        for name in taken:
            claims.release(name)


@lru_cache(maxsize=1)
def _opened(experiment: str, tensorboard: bool) -> tuple[FitRunner, tuple[Fit, ...]]:
    """What a process keeps between its tasks: the cohort, and the folds it has prepared."""
    chosen = Experiment.model_validate_json(experiment)
    data = load(chosen)
    return FitRunner(chosen, data, tensorboard=tensorboard), fits_of(chosen, data)


def _untold(fit: Fit, epoch: Epoch) -> None:
    """Epochs of other machines are read in their curves."""


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch take so many threads while the block runs."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
