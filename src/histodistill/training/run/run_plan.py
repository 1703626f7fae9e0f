"""What a cross-validation would do: its trainings, tasks, time and memory. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from histodistill.computing.peak_memory import peak_bytes
from histodistill.engines.scheduling import batched
from histodistill.experiment import Experiment, ExperimentData
from histodistill.training.run.costs import measured_seconds, seconds_of_fits
from histodistill.training.run.fit_runner import FitRunner
from histodistill.training.run.parallel import Running, engine_of, passes
from histodistill.training.run.planned_fits import Fit, fits_of


@dataclass(frozen=True)
class RunPlan:
    """What a cross-validation would do.

    Attributes:
        table: A row a method: ``method``, ``trainings`` that are not finished, ``finished``,
            ``seconds`` that one takes, and ``known``: whether that was measured.
        tasks: Tasks that the trainings are put into.
        at_once: Tasks that run at the same time, as far as it is known.
        threads: Threads of each.
        seconds: Time that all trainings take, one after the other.
        memory: Bytes that a task needs at least: what this process has needed with the same
            cohort.
        mapped: Bytes of the packed bags, which all tasks of a machine share.
    """

    table: pd.DataFrame
    tasks: int
    at_once: int
    threads: int
    seconds: float
    memory: int
    mapped: int


def plan_run(experiment: Experiment, data: ExperimentData, running: Running) -> RunPlan:
    """Plan a cross-validation as :func:`histodistill.training.cross_validate` would run it.

    Args:
        experiment: The experiment.
        data: Its inputs.
        running: Where the trainings would be done; a cluster is asked how large it is.

    Raises:
        InputError: The engine is not there, or the patients cannot be divided as asked.
    """
    fits = fits_of(experiment, data)
    waiting = {fit for fit in fits if not fit.finished(experiment.output)}
    seconds = seconds_of_fits(fits, experiment.output)
    groups = passes(FitRunner(experiment, data), fits)
    own = [tuple(fit for fit in group if fit in waiting) for group in groups]

    def price(group: tuple[Fit, ...]) -> float:
        return sum(seconds[fit.method] for fit in group)

    with engine_of(experiment, running) as engine:
        tasks = batched([group for group in own if group], price, engine)
        slots = engine.slots
    packed = data.bags.packed if data.bags is not None else None
    return RunPlan(
        _table(fits, waiting, seconds, set(measured_seconds(fits, experiment.output))),
        len(tasks),
        min(slots, len(tasks)),
        running.threads_of_each,
        sum(seconds[fit.method] for fit in waiting),
        peak_bytes(),
        0 if packed is None else packed.path.stat().st_size,
    )


def _table(
    fits: tuple[Fit, ...], waiting: set[Fit], seconds: dict[str, float], known: set[str]
) -> pd.DataFrame:
    """A row a method, in the order of the fits."""
    return pd.DataFrame(
        {
            "method": method,
            "trainings": sum(fit.method == method for fit in waiting),
            "finished": sum(fit.method == method for fit in fits if fit not in waiting),
            "seconds": seconds[method],
            "known": method in known,
        }
        for method in dict.fromkeys(fit.method for fit in fits)
    )
