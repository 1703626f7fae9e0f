"""The `histodistill crossval` command."""

from __future__ import annotations

from typing import Annotated

import typer

from histodistill.cli.console import answer, located, say
from histodistill.cli.options import DryRun, ExperimentFile, Jobs, Json, On, Threads


def command(
    experiment_file: ExperimentFile,
    on: On = "local",
    jobs: Jobs = None,
    threads: Threads = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events (an extra).")
    ] = False,
    report: Annotated[bool, typer.Option(help="Write the report when all is trained.")] = True,
    dry_run: DryRun = False,
    _json: Json = False,
) -> None:
    """Cross-validate every method of an experiment; resumes where it was interrupted.

    Writes out-of-fold predictions (predictions.csv, a row a patient), the models of all
    folds, training curves, the resolved configuration, and a report with intervals.
    """
    from histodistill.cli.cohort import read_cohort
    from histodistill.cli.dry_run import show_plan
    from histodistill.cli.results import show_aucs, show_calibration
    from histodistill.cli.training_progress import fits_progress
    from histodistill.experiment import read_experiment
    from histodistill.training import cross_validate, fits_of
    from histodistill.training.folders import PREDICTIONS
    from histodistill.workflows.run_report import run_report

    experiment = read_experiment(experiment_file)
    data = read_cohort(experiment)
    if dry_run:
        show_plan(experiment, data, on, jobs, threads)
        return
    with fits_progress(experiment, fits_of(experiment, data)) as watcher:
        predictions = cross_validate(
            experiment,
            data,
            watcher=watcher,
            jobs=jobs,
            threads=threads,
            tensorboard=tensorboard,
            on=on,
        )
    show_aucs(predictions)
    show_calibration(predictions)
    say(f"Predictions: {located(experiment.output / PREDICTIONS)}")
    answer(predictions=experiment.output / PREDICTIONS)
    if report:
        page = run_report(experiment, data, predictions)
        say(f"Report: {located(page)}")
        answer(report=page)
