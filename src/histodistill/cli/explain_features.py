"""The `histodistill explain-features` command."""

from __future__ import annotations

from typing import Annotated

import typer

from histodistill.cli.console import located, say, say_notes, show
from histodistill.cli.options import ExperimentFile, OutFolder, one_of


def command(
    experiment_file: ExperimentFile,
    out: OutFolder,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="What is predicted; needed if several.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which method; needed if several.")
    ] = None,
    gene: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GENE", help="Ask what the features tell of this gene; as often as wanted."
        ),
    ] = None,
) -> None:
    """Show what was decomposed: how alike the networks' features are, and what each one tells.

    Of a finished cross-validation, on the test patients of each fold. Research use only; not a
    medical device.
    """
    from histodistill.cli.progress import counting
    from histodistill.experiment import load, read_experiment
    from histodistill.workflows.feature_explanation import explain_run_features

    experiment = read_experiment(experiment_file)
    target = one_of("target", target, list(experiment.targets))
    method = one_of("method", method, list(experiment.methods))
    with counting("Reading bags") as progress:
        data = load(experiment, progress)
    with counting("Models") as progress:
        found = explain_run_features(
            experiment, data, target, method, gene or (), progress=progress
        )
    say_notes(found.notes)
    out.mkdir(parents=True, exist_ok=True)
    found.write(out)
    show(found.similarity, "Similarity of features (debiased linear CKA)")
    show(found.probes, "What linear probes read")
    say(f"Tables and pictures: {located(out)}")
