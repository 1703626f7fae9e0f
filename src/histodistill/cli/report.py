"""The `histodistill report` command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import answer, located, say
from histodistill.cli.options import Json, require_used
from histodistill.cli.policy import MaxFalseAlarms, MaxMissed, MinPPV, stated_policy


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

    require_used(context, {"table": ["by", "clinical"]})
    settings = ReportSettings(
        by=tuple(by or ()),
        clinical=tuple(name.strip() for name in clinical.split(",")) if clinical else (),
        tables=tuple(table or ()),
        depth=depth,
        explained=tuple(explained or ()),
        policy=stated_policy(max_missed, max_false_alarms, min_ppv),
    )
    with counting("Reading bags") as progress:
        page = report_run(run.resolve(), settings, progress)
    say(f"Report: {located(page)}")
    answer(report=page)
