"""The `histodistill calibrate` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.options import AllowedCode, BundleFolder, Json, OneTarget, cell_meanings
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.deploy import Bundle


def command(
    bundle_folder: BundleFolder,
    predictions: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="What `predict` wrote for patients of the site with this bundle."
        ),
    ],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            "--clinical",
            metavar="FILE",
            help="Table with the labels of some of them; 10 or more, of both classes.",
        ),
    ],
    site: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the site, for `predict --site`.")
    ],
    column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of the labels; by default the target's name."),
    ] = None,
    meanings: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="CELL=CLASS",
            help="What cells of the column mean, as often as needed, as for `evaluate`.",
        ),
    ] = None,
    patient_column: Annotated[
        str, typer.Option(metavar="NAME", help="Patient column of the labels.")
    ] = "PATIENT",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an earlier calibration for this site.")
    ] = False,
    target: OneTarget = None,
    allow: AllowedCode = None,
    _json: Json = False,
) -> None:
    """Reset calibration and threshold for a new site, from few labelled patients of it.

    Patients without a label help as well. The bundle keeps its own calibration; `predict --site`
    takes the site's. What so few patients leave open is printed as 95 % intervals. The labelled
    patients should be consecutive ones, not chosen by their status. Research use only; not a
    medical device.
    """
    from histodistill.deploy import Bundle
    from histodistill.deploy.panel import bundle_of
    from histodistill.deploy.recalibration import label_notes, recalibrate, scope_notes, sentences
    from histodistill.deploy.site import require_site_name
    from histodistill.evaluation import Question, rows_of
    from histodistill.spreadsheets import read_back
    from histodistill.tables import read_table
    from histodistill.workflows.external_evaluation import LabelTable, read_labels

    require_site_name(site)
    place = bundle_of(bundle_folder, target)
    bundle = Bundle.load(place, allow or ())
    say_notes(bundle.notes)
    _require_new(bundle, site, replace=replace)
    info = bundle.info
    stand = LabelTable(labels, column, patient_column, cell_meanings(meanings or []))
    known, notes = read_labels(stand, Question(info.target, info.classes, info.positive))
    told: list[str] = []
    table = rows_of(read_back(read_table(predictions, told)), info.target)
    say_notes((*notes, *told))
    found = recalibrate(bundle, table, known, site, source=str(predictions))
    say_notes((*label_notes(table, known), *scope_notes(table)))
    path = found.save(place)
    for sentence in sentences(bundle, found):
        say(sentence)
    say(
        f"Site {site}: {counted(found.labelled, 'labelled patient')}, {found.unlabelled} without a "
        f"label: {located(path)}; take it with `predict --site {site}`"
    )
    answer(site=site, calibration=path, networks=found.model_dump(mode="json")["networks"])


def _require_new(bundle: Bundle, site: str, *, replace: bool) -> None:
    if site in bundle.sites and not replace:
        own = bundle.sites[site]
        raise InputError(
            f"the bundle is calibrated for the site {site} already, on {own.labelled} labelled "
            "patients; --replace does it again"
        )
