"""A fit as a row of trainings, so that those of several fits can share a pass.

Whatever trains is written as a generator: it yields the trainings that it needs next, and goes
on when they are done; or it yields none and waits for what another process trains. Alone, they
run one after the other; with others, those of one architecture run in one pass where that is
faster.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Generic, ParamSpec, TypeVar

from histodistill.training.loop.epoch import OnEpoch
from histodistill.training.loop.shared_pass import MOST_MODELS, pays, stackable, train_together
from histodistill.training.loop.trainer import Trainer

K = TypeVar("K")
P = ParamSpec("P")
R = TypeVar("R")

# Between two looks at what another process is training, where nothing else is to be done.
_WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Training:
    """A training that is ready to run.

    Attributes:
        trainer: What trains.
        folder: Gets its curves and checkpoint.
        on_epoch: Called after every epoch.
    """

    trainer: Trainer
    folder: Path
    on_epoch: OnEpoch | None = None

    def run(self) -> None:
        """Run it alone."""
        self.trainer.fit(self.folder, self.on_epoch)

    def begin(self) -> None:
        """Make it ready to run with others."""
        self.trainer.begin(self.folder, self.on_epoch)

    @property
    def kind(self) -> str | None:
        """What the trainings of one pass have in common; None where it has to run alone."""
        trainer = self.trainer
        inert = not trainer.teachers or not trainer.method.objective.between_networks
        if not (stackable(trainer.method) and pays(trainer.method, trainer.device) and inert):
            return None
        described = trainer.method.model_dump_json(exclude={"seeds"})
        return f"{trainer.device} {trainer.networks.architecture()} {trainer.heads} {described}"


Steps = Generator[Sequence[Training], None, R]


class Stepwise(Generic[P, R]):
    """A function that trains, called like any other; ``steps`` gives its trainings one by one.

    Args:
        steps: The generator function.
    """

    def __init__(self, steps: Callable[P, Steps[R]]) -> None:
        self.steps = steps
        update_wrapper(self, steps)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run everything, each training alone."""
        with closing(self.steps(*args, **kwargs)) as steps:
            while True:
                try:
                    trainings = next(steps)
                except StopIteration as stop:
                    result: R = stop.value
                    return result
                for training in trainings:
                    training.run()
                if not trainings:
                    time.sleep(_WAIT_SECONDS)


def side_by_side(several: Sequence[Steps[R]]) -> Steps[list[R]]:
    """Several rows of trainings as one: the next of all of them are needed together."""
    results: dict[int, R] = {}
    waiting = dict(enumerate(several))
    while waiting:
        needed: list[Training] = []
        for index, steps in list(waiting.items()):
            try:
                needed += next(steps)
            except StopIteration as stop:
                results[index] = stop.value
                del waiting[index]
        if waiting:
            yield needed
    return [results[index] for index in range(len(several))]


def in_one_pass(
    several: Mapping[K, Steps[R]], most: int = MOST_MODELS
) -> Iterator[tuple[K, R | Exception]]:
    """Run the trainings of several fits together; what becomes of each, as it ends.

    A problem of one of them ends no other.

    Args:
        several: The steps of each fit.
        most: Trainings that may share a pass.
    """
    waiting = dict(several)
    while waiting:
        needed: dict[K, Sequence[Training]] = {}
        for key in list(waiting):
            ended = _advanced(key, waiting[key], needed)
            if ended is not None:
                del waiting[key]
                yield key, ended[0]
        if waiting and not any(needed.values()):
            time.sleep(_WAIT_SECONDS)
        problems = _run_all([training for own in needed.values() for training in own], most)
        for key, own in needed.items():
            found = [problems[id(training)] for training in own if id(training) in problems]
            if found:
                waiting.pop(key).close()
                yield key, found[0]


def _advanced(
    key: K, steps: Steps[R], needed: dict[K, Sequence[Training]]
) -> tuple[R | Exception] | None:
    """Take a fit to its next trainings; what it ended with, if it ended."""
    try:
        needed[key] = next(steps)
    except StopIteration as stop:
        return (stop.value,)
    except Exception as error:
        return (error,)
    return None


def _run_all(trainings: Sequence[Training], most: int) -> dict[int, Exception]:
    """Run trainings, those of a kind in passes; problems by the id of the training."""
    kinds: defaultdict[str | int, list[Training]] = defaultdict(list)
    for training in trainings:
        kinds[training.kind or id(training)].append(training)
    problems: dict[int, Exception] = {}
    passes = [
        alike[first : first + most]
        for alike in kinds.values()
        for first in range(0, len(alike), most)
    ]
    for alike in passes:
        begin_or_run = Training.run if len(alike) == 1 else Training.begin
        begun = []
        for training in alike:
            try:
                begin_or_run(training)
                begun.append(training)
            except Exception as error:
                problems[id(training)] = error
        if len(alike) > 1:
            outcomes = train_together([training.trainer for training in begun])
            told = zip(begun, outcomes, strict=True)
            problems |= {id(training): problem for training, problem in told if problem}
    return problems
