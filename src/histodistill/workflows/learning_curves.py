"""Learning curves of a run: its methods trained again with parts of the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from histodistill.evaluation import read_predictions
from histodistill.experiment import Experiment, ExperimentData, load
from histodistill.training import Fit, Watcher
from histodistill.training.folders import PREDICTIONS
from histodistill.training.run.learning_curves import (
    LearningPart,
    failed,
    learning_parts,
    train_part,
)
from histodistill.workflows.run_report import Progress, experiment_of

Watching = Callable[[Experiment, Sequence[Fit]], AbstractContextManager[Watcher]]


@dataclass(frozen=True)
class LearningPlan:
    """What is to be trained: the run's inputs, and each part of the labels."""

    data: ExperimentData
    parts: tuple[LearningPart, ...]


def plan_learning_curves(run: Path, progress: Progress | None = None) -> LearningPlan:
    """Read and check everything that the learning curves of a finished run need.

    Args:
        run: The run's folder.
        progress: Called with (bags read, bags in all).

    Raises:
        InputError: No finished run is there, its answers are sealed, or its inputs have gone.
    """
    experiment = experiment_of(run)
    read_predictions(run / PREDICTIONS)  # refuses a run that is not finished, or is sealed
    data = load(experiment, progress)
    return LearningPlan(data, learning_parts(experiment, data))


def train_learning_curves(
    plan: LearningPlan, watching: Watching, *, jobs: int | None = None, threads: int | None = None
) -> list[str]:
    """Train what a plan holds; what an earlier call has finished is kept.

    The next report of the run draws the curves.

    Args:
        plan: The plan.
        watching: Gives what watches the trainings of a part.
        jobs: Trainings at the same time; 1 by default.
        threads: Threads of each.

    Returns:
        What was not trained, and why, in sentences.
    """
    told: list[str] = []
    for part in plan.parts:
        told += part.notes
        with watching(part.experiment, part.fits) as watcher:
            failures = train_part(part, plan.data, watcher, jobs=jobs, threads=threads)
        told += failed(part, failures)
    return told
