"""The model to deploy, trained on another machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from histodistill.deploy.bundle import Bundle
from histodistill.engines.choice import Place
from histodistill.engines.single_task import run_one
from histodistill.experiment import Experiment, load
from histodistill.training.run.attempts import torch_threads
from histodistill.training.run.final import train_panel
from histodistill.training.run.precision import with_precision


@dataclass(frozen=True)
class _Final:
    """Trains, or goes on where an earlier task stopped."""

    experiment: Experiment
    targets: tuple[str, ...]
    method: str
    seed: int
    threads: int

    def __call__(self, _task: object) -> dict[str, Bundle]:
        data = load(self.experiment)
        with torch_threads(self.threads):
            return train_panel(self.experiment, data, self.targets, self.method, seed=self.seed)


def train_elsewhere(
    experiment: Experiment,
    targets: Sequence[str],
    method: str,
    *,
    seed: int,
    place: Place,
    threads: int | None = None,
) -> dict[str, Bundle]:
    """What :func:`train_panel` gives, by a task on an engine.

    A task that dies, or whose time is over, goes on from its last checkpoint.

    Args:
        experiment: The experiment; its files are seen by all machines.
        targets: What to predict.
        method: One of the experiment's methods.
        seed: Seed.
        place: The engine.
        threads: Threads of the training; by default 1.

    Raises:
        InputError: As :func:`train_panel`, or the engine is not there.
    """
    # What precision is, this machine decides, as for a cross-validation.
    work = _Final(with_precision(experiment), tuple(targets), method, seed, threads or 1)
    gpu = experiment.methods[method].training.device.startswith("cuda")
    folder = experiment.output / "final" / ".tasks"
    bundles: dict[str, Bundle] = run_one(place, folder, work, threads=threads, gpu=gpu)
    return bundles
