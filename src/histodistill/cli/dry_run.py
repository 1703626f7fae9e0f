"""What a command would do, shown before it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodistill.cli.console import answer, counted, say, show

if TYPE_CHECKING:
    from histodistill.experiment import Experiment, ExperimentData
    from histodistill.training.run.run_plan import RunPlan


def show_plan(
    experiment: Experiment,
    data: ExperimentData,
    on: str,
    jobs: int | None,
    threads: int | None,
) -> None:
    """Show the trainings of a cross-validation, their tasks, time and memory."""
    from histodistill.engines.choice import Place
    from histodistill.training.run.parallel import Running
    from histodistill.training.run.run_plan import plan_run

    plan = plan_run(experiment, data, Running(Place.named(on), jobs, threads))
    told = plan.table.assign(seconds=plan.table["seconds"].where(plan.table["known"]))
    show(told.drop(columns="known").rename(columns={"seconds": "seconds of one"}), "To train")
    _say_totals(plan)
    answer(
        trainings=plan.table,
        tasks=plan.tasks,
        at_once=plan.at_once,
        threads=plan.threads,
        seconds=plan.seconds,
        memory_bytes=plan.memory,
        mapped_bytes=plan.mapped,
    )


def _say_totals(plan: RunPlan) -> None:
    n = int(plan.table["trainings"].sum())
    at_once = max(plan.at_once, 1)
    say(
        f"{counted(n, 'training')} in {counted(plan.tasks, 'task')}, {at_once} at a time, each "
        f"with {counted(plan.threads, 'thread')}"
    )
    guessed = plan.table.loc[~plan.table["known"] & (plan.table["trainings"] > 0), "method"]
    doubt = f"; guessed for {', '.join(guessed)}, as none has been measured" if len(guessed) else ""
    say(f"Time: {_length(plan.seconds)} of training, {_length(plan.seconds / at_once)} so{doubt}")
    say(
        f"Memory: {plan.memory / 1e9:.1f} GB a task at least, and {plan.mapped / 1e9:.1f} GB of "
        "packed bags on each machine, which its tasks share"
    )


def _length(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
