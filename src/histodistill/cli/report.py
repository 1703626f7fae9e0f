"""The `histodistill report` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import answer, located, say, say_notes
from histodistill.cli.options import Jobs, Json, Threads, require_used
from histodistill.cli.policy import MaxFalseAlarms, MaxMissed, MinPPV, stated_policy
from histodistill.errors import InputError


def command(
    context: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Output folder of crossval or suite.")],
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="A column of the clinical table (or --table) for subgroups and strata; as often "
            "as needed.",
        ),
    ] = None,
    clinical: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Columns of a clinical-only model, to which the method is compared.",
        ),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="One more table of patients in which columns are looked for."
        ),
    ] = None,
    depth: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help='What is looked at in depth, "METHOD NETWORK"; by default the first method.',
        ),
    ] = None,
    explained: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="A folder that explain or explain-genes wrote; as often as needed.",
        ),
    ] = None,
    viewer: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Where histodistill view runs: names of patients lead there. Empty: no links.",
        ),
    ] = "http://127.0.0.1:8765",
    learning_curves: Annotated[
        bool,
        typer.Option(
            "--learning-curves",
            help="Train every method again with 1/8, 1/4 and 1/2 of the labels, and draw how many "
            "each needs; takes about as long as the run did, and resumes.",
        ),
    ] = False,
    jobs: Jobs = None,
    threads: Threads = None,
    max_missed: MaxMissed = None,
    max_false_alarms: MaxFalseAlarms = None,
    min_ppv: MinPPV = None,
    _json: Json = False,
) -> None:
    """Write the report of a finished run: one page that needs no other file and no network.

    The same that crossval and suite write at their end, with the columns and the policy that you
    name (by default the experiment's, or: miss at most 5 %, at most 5 % false alarms). It holds
    the cohort's flow, discrimination, calibration, utility, subgroups, confounders, errors, and
    the leakage audit. Research use only; not a medical device.
    """
    from histodistill.cli.progress import counting
    from histodistill.workflows.run_report import ReportSettings, report_run

    curves = ["learning_curves"]
    require_used(context, {"table": ["by", "clinical"], "jobs": curves, "threads": curves})
    settings = ReportSettings(
        by=tuple(by or ()),
        clinical=tuple(name.strip() for name in clinical.split(",")) if clinical else (),
        tables=tuple(table or ()),
        depth=depth,
        explained=tuple(explained or ()),
        viewer=_address(viewer),
        policy=stated_policy(max_missed, max_false_alarms, min_ppv),
    )
    if learning_curves:
        _train_learning_curves(run.resolve(), jobs, threads)
    with counting("Reading bags") as progress:
        page = report_run(run.resolve(), settings, progress)
    say(f"Report: {located(page)}")
    answer(report=page)


def _train_learning_curves(run: Path, jobs: int | None, threads: int | None) -> None:
    from histodistill.cli.progress import counting
    from histodistill.cli.training_progress import fits_progress
    from histodistill.workflows.learning_curves import plan_learning_curves, train_learning_curves

    with counting("Reading bags") as progress:
        plan = plan_learning_curves(run, progress)
    say_notes(train_learning_curves(plan, fits_progress, jobs=jobs, threads=threads))


def _address(viewer: str) -> str:
    """The viewer's address.

    Raises:
        InputError: It is none.
    """
    if viewer and not viewer.startswith(("http://", "https://")):
        raise InputError(f"--viewer {viewer}: is no address; write it as http://127.0.0.1:8765")
    return viewer
