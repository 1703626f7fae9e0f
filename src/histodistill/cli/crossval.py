"""The `histodistill crossval` command."""

from __future__ import annotations

from typing import Annotated

import typer

from histodistill.cli.console import located, say, say_notes
from histodistill.cli.options import ExperimentFile
from histodistill.cli.progress import reading_bags, training_bars
from histodistill.cli.results import run_report, show_aucs
from histodistill.experiment import Experiment, ExperimentData, folds_for, load, read_experiment
from histodistill.training import cross_validate
from histodistill.training.crossval import PREDICTIONS


def command(
    experiment_file: ExperimentFile,
    jobs: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="Folds trained at the same time, sharing the cores."),
    ] = 1,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events (an extra).")
    ] = False,
    report: Annotated[bool, typer.Option(help="Write the report when all is trained.")] = True,
) -> None:
    """Cross-validate every method of an experiment; resumes where it was interrupted.

    Writes out-of-fold predictions (predictions.csv, a row a patient), the models of all
    folds, training curves, the resolved configuration, and a report with intervals.
    """
    experiment = read_experiment(experiment_file)
    with reading_bags() as progress:
        data = load(experiment, progress)
    say_notes(data.notes)
    longest = max(m.training.max_epochs for m in experiment.methods.values())
    with training_bars(_trainings(experiment, data), longest) as bars:
        predictions = cross_validate(
            experiment, data, watcher=bars, jobs=jobs, tensorboard=tensorboard
        )
    show_aucs(predictions)
    say(f"Predictions: {located(experiment.output / PREDICTIONS)}")
    if report:
        page = run_report(experiment, data, predictions)
        say(f"Report: {located(page)}")


def _trainings(experiment: Experiment, data: ExperimentData) -> int:
    folds = sum(len(folds_for(experiment, data, target).folds) for target in experiment.targets)
    return folds * (len(experiment.methods) * len(experiment.seeds) + bool(experiment.baselines))
