"""The `histodistill audit` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes, say_problems, show
from histodistill.cli.options import ExperimentFile, Json

if TYPE_CHECKING:
    from histodistill.experiment.audit import Audit


def command(
    experiment_file: ExperimentFile,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the tables; by default `audit` in the output folder."
        ),
    ] = None,
    _json: Json = False,
) -> None:
    """Read every input of an experiment and say whether training on it can be trusted.

    Tells how many patients there are by target, class, modality and site, who is left out of the
    results, why, and whether they teach all the same, and every problem at once. Exits with
    status 1 where there is a problem.
    """
    from histodistill.cli.progress import counting
    from histodistill.experiment import read_experiment
    from histodistill.experiment.audit import audit

    experiment = read_experiment(experiment_file)
    with counting("Reading bags") as progress:
        found = audit(experiment, progress)
    folder = out or experiment.output / "audit"
    found.save(folder)
    _report(found)
    answer(patients=found.counts, left_out=found.excluded, folds=found.folds, tables=folder)
    say_notes(found.notes)
    say_problems(found.problems)
    if found.counts is not None:
        say(f"Tables: {located(folder)} (counts, excluded, folds and modalities, as CSV)")
    if found.problems:
        say(f"{counted(len(found.problems), 'problem')}: training could not be trusted.")
        raise typer.Exit(1)
    say("No problem found.")


def _report(found: Audit) -> None:
    if found.counts is not None:
        by_class = found.counts.groupby(["target", "class", "modality"], sort=True)
        show(by_class["patients"].sum().reset_index(), "Patients")
        sites = found.counts.groupby("target")["site"].nunique().reset_index()
        show(sites.rename(columns={"site": "sites"}), "Sites")
    if found.excluded is not None and len(found.excluded):
        reasons = found.excluded.assign(target=found.excluded["target"].replace("", "all"))
        by_reason = reasons.groupby(["target", "reason", "teaches"]).size()
        shown = by_reason.reset_index(name="patients").replace({"teaches": {"": "nobody"}})
        show(shown, "Left out of the results")
    if found.folds is not None:
        # Targets have classes of their own: a table each fits a terminal of 80.
        for target, rows in found.folds.groupby("target", sort=False):
            shown = rows.dropna(axis=1, how="all").drop(columns=["target", "unlabelled"])
            show(shown, f"Folds of {target}")
            _show_modalities(found, str(target))


def _show_modalities(found: Audit, target: str) -> None:
    """The same folds by what the patients have, where that differs."""
    if found.modalities is None:
        return
    rows = found.modalities.loc[found.modalities["target"] == target].drop(columns="target")
    counts = rows.drop(columns=["repeat", "fold", "part"])
    present = counts.columns[counts.any()]
    if len(present) > 1:
        show(rows[["repeat", "fold", "part", *present]], f"Folds of {target} by modality")
