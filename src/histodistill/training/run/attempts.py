"""Fits that are attempted: claimed, so that nobody else does; one that fails stops no other."""

from __future__ import annotations

import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from histodistill.claims import Claims
from histodistill.engines.sharing import all_claimed
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
class Attempted:
    """What became of a group of fits, told in words that travel.

    Attributes:
        problems: Of each fit by its name, in sentences; none where it is finished.
        warned: What was warned of on the way, for whoever submitted the task to tell.
    """

    problems: dict[str, tuple[str, ...]]
    warned: tuple[str, ...] = ()


def claims_of(experiment: Experiment) -> Claims:
    """The claims on fits of an experiment's folder."""
    return claims_of_folder(experiment.output)


def claims_of_folder(output: Path) -> Claims:
    """The claims on fits of a folder of results."""
    return Claims(output / _CLAIMS)


def claim_names(group: Group) -> list[str]:
    """What the fits of a group are claimed by."""
    return [folder_name(fit) for fit in group]


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

    def __call__(self, task: Sequence[Group]) -> list[Attempted | None]:
        """Attempt the groups of a task, one after the other."""
        with torch_threads(self._threads), claims_of(self._runner.experiment) as claims:
            return [self.attempt(group, claims) for group in task]

    def attempt(self, group: Group, claims: Claims) -> Attempted | None:
        """Run the fits of a group that are not finished; None where others hold one of them."""
        with all_claimed(claim_names(group), claims) as mine:
            if not mine:
                return None
            fits = [self._fits[name] for name in group]
            output = self._runner.experiment.output
            ended: dict[str, tuple[str, ...]] = {str(f): () for f in fits if f.finished(output)}
            return Attempted(ended | self._run([f for f in fits if str(f) not in ended]))

    def _run(self, fits: Sequence[Fit]) -> dict[str, tuple[str, ...]]:
        """Run fits together; a failure is written down beside its results and told."""
        if not fits:
            return {}
        steps = {fit: self._runner.steps(fit, partial(self._on_epoch, fit)) for fit in fits}
        most = min(self._runner.models_in_a_pass(fit.method) for fit in fits)
        return {str(fit): self._problems(fit, end) for fit, end in in_one_pass(steps, most)}

    def _problems(self, fit: Fit, ended: Exception | None) -> tuple[str, ...]:
        path = fit.folder(self._runner.experiment.output) / FAILURE
        if ended is None:
            path.unlink(missing_ok=True)
            return ()
        write_text(path, "".join(traceback.format_exception(ended)))
        if isinstance(ended, InputError):
            return ended.problems
        return (f"{type(ended).__name__}: {ended} ({path} tells where)",)


class Recorded:
    """Attempts fits in another process, and keeps warnings for the one that tells them.

    Args:
        work: What may warn.
    """

    def __init__(self, work: FitsHere) -> None:
        self._work = work

    def __call__(self, task: Sequence[Group]) -> list[Attempted | None]:
        """Attempt the groups of a task."""
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("default", UserWarning)
            attempted = self._work(task)
        told = [str(each.message) for each in seen if issubclass(each.category, UserWarning)]
        once = tuple(dict.fromkeys(told))
        return [each and replace(each, warned=once) for each in attempted]


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
        self._experiment = experiment
        self._threads = threads
        self._tensorboard = tensorboard

    def __call__(self, task: Sequence[Group]) -> list[Attempted | None]:
        """Attempt the groups of a task."""
        runner, fits = _opened(self._experiment, self._tensorboard)
        return Recorded(FitsHere(runner, fits, self._threads, _untold))(task)


# What a process keeps between its tasks: the cohort, the folds it has prepared, and its fits.
_kept: dict[str, tuple[FitRunner, tuple[Fit, ...]]] = {}


def _opened(experiment: Experiment, tensorboard: bool) -> tuple[FitRunner, tuple[Fit, ...]]:
    """The runner and the fits of an experiment, read where the last task was of another one."""
    key = f"{tensorboard} {experiment.model_dump_json()}"
    if key not in _kept:
        _kept.clear()
        data = load(experiment)
        runner = FitRunner(experiment, data, tensorboard=tensorboard)
        _kept[key] = runner, fits_of(experiment, data)
    return _kept[key]


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
