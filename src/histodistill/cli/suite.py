"""The `histodistill suite` command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, counted, located, say, show
from histodistill.cli.options import DryRun, ExperimentFile, Jobs, Json, On, Threads
from histodistill.errors import InputError, listed

if TYPE_CHECKING:
    from histodistill.experiment import Experiment

LEADERBOARD = "leaderboard"


def _list_methods(asked: bool) -> None:
    if asked:
        import pandas as pd

        from histodistill.experiment.descriptions import descriptions

        known = descriptions()
        table = {"method": [d.name for d in known], "reads": [d.reads for d in known]}
        show(pd.DataFrame(table | {"what it is": [d.text for d in known]}), "Methods")
        answer(methods=[{"method": d.name, "reads": d.reads, "text": d.text} for d in known])
        raise typer.Exit


def command(
    experiment_file: ExperimentFile,
    on: On = "local",
    jobs: Jobs = None,
    threads: Threads = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="METHOD",
            help="What the others are compared with; by default the first slide-only method.",
        ),
    ] = None,
    _list: Annotated[
        bool,
        typer.Option(
            "--list-methods",
            callback=_list_methods,
            is_eager=True,
            help="Show every method by name, with its source.",
        ),
    ] = False,
    dry_run: DryRun = False,
    _json: Json = False,
) -> None:
    """Train many methods on the same folds, and rank them; resumes where it was interrupted.

    The experiment's `methods` may be a list of names. While they train, a table shows their
    validation AUC. At the end the folder leaderboard gets tables (CSV, Markdown, LaTeX),
    figures and a page, with paired tests and costs.
    """
    from histodistill.cli.cohort import read_cohort
    from histodistill.cli.dry_run import show_plan
    from histodistill.cli.live_table import train_and_watch
    from histodistill.evaluation import live_table, with_standard
    from histodistill.experiment import read_experiment
    from histodistill.report import write_leaderboard
    from histodistill.spreadsheets import read_own_csv
    from histodistill.training.folders import PREDICTIONS
    from histodistill.training.run.costs import COSTS
    from histodistill.workflows.run_report import run_report

    experiment = read_experiment(experiment_file)
    reference = _reference(experiment, reference)
    data = read_cohort(experiment)
    if dry_run:
        show_plan(experiment, data, on, jobs, threads)
        return
    predictions = train_and_watch(experiment, data, on, jobs, threads)
    page = write_leaderboard(
        predictions,
        read_own_csv(experiment.output / COSTS),
        experiment.output / LEADERBOARD,
        reference=reference,
        metrics=with_standard(experiment.metrics),
        title=experiment.name,
        settings=_settings(experiment),
        simulated=experiment.simulated,
    )
    show(live_table(predictions), "Test AUC, mean over folds and seeds")
    say(f"Predictions: {located(experiment.output / PREDICTIONS)}")
    say(f"Leaderboard: {located(page)}")
    report = run_report(experiment, data, predictions)
    say(f"Report: {located(report)}")
    answer(
        results=read_own_csv(page.parent / "results.csv"),
        predictions=experiment.output / PREDICTIONS,
        leaderboard=page,
        report=report,
    )


def _reference(experiment: Experiment, given: str | None) -> str | None:
    """The reference, refused before anything is trained where it cannot be one."""
    if given is None:
        plain = [n for n, m in experiment.methods.items() if m.network.networks == ("student",)]
        return plain[0] if plain else None
    # The baselines' names depend on the cohort: those are checked when all is trained.
    if given not in experiment.methods and not experiment.baselines:
        raise InputError(
            f"no method {given!r}: --reference is one of {', '.join(experiment.methods)}"
        )
    return given


def _settings(experiment: Experiment) -> dict[str, str]:
    splits, tuning = experiment.splits, experiment.tuning
    own = {name: m.seeds for name, m in experiment.methods.items() if m.seeds is not None}
    folds = {
        "files": "given in files",
        "external": f"tested on {listed(list(splits.external_sites))} alone",
    }
    divided = f"{splits.scheme}, {splits.folds} folds, {counted(splits.repeats, 'repeat')}"
    settings = {
        "Folds": folds.get(splits.scheme, divided),
        "Seeds": ", ".join(map(str, experiment.seeds)),
        "Genomic blocks": ", ".join(experiment.genomics) or "none",
        "Tuning": "none" if tuning is None else f"{tuning.trials} trials a method and fold",
    }
    return settings | {f"Seeds of {n}": ", ".join(map(str, seeds)) for n, seeds in own.items()}
