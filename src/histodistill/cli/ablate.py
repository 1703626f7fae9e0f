"""The `histodistill ablate` command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histodistill.cli.console import answer, located, say, show
from histodistill.cli.options import DryRun, ExperimentFile, Jobs, Json, On, Threads

if TYPE_CHECKING:
    import pandas as pd


def command(
    experiment_file: ExperimentFile,
    on: On = "local",
    jobs: Jobs = None,
    threads: Threads = None,
    dry_run: DryRun = False,
    _json: Json = False,
) -> None:
    """Train the method without each of its parts, and write the ablation table.

    Takes the experiment's cohort, folds, targets and seeds. The folder ablation in its output
    gets the table as CSV, Markdown and LaTeX; it resumes where it was interrupted.
    """
    from histodistill.cli.cohort import read_cohort
    from histodistill.cli.dry_run import show_plan
    from histodistill.cli.live_table import train_and_watch
    from histodistill.experiment.ablation import REFERENCE, components, read_ablation
    from histodistill.report.ablation import write_ablation

    experiment = read_ablation(experiment_file)
    data = read_cohort(experiment)
    if dry_run:
        show_plan(experiment, data, on, jobs, threads)
        return
    predictions = train_and_watch(experiment, data, on, jobs, threads)
    tidy = write_ablation(
        predictions, components(experiment), experiment.output, reference=REFERENCE
    )
    _show(tidy)
    say(f"Table: {located(experiment.output / 'ablation.md')}")
    answer(results=tidy, table=experiment.output / "ablation.md")


def _show(tidy: pd.DataFrame) -> None:
    """Print the AUCs, a column a target and network."""
    columns = tidy["target"] + " " + tidy["network"]
    wide = tidy.assign(column=columns).pivot_table(
        index="method", columns="column", values="fold_auc", sort=False
    )
    show(wide.reset_index(), "Test AUC, mean over folds and seeds")
