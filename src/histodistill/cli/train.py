"""The `histodistill train` command."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from histodistill.cli.console import answer, counted, located, say
from histodistill.cli.options import ExperimentFile, Json, one_of
from histodistill.errors import InputError


def command(
    experiment_file: ExperimentFile,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the bundle; must not exist yet.")
    ],
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to predict; needed if several.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which method; needed if several.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="By default the method's first.")
    ] = None,
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble",
            help="Average all models of a finished cross-validation instead of training.",
        ),
    ] = False,
    _json: Json = False,
) -> None:
    """Fit the model to deploy and write it as a bundle: safetensors and JSON, no pickle.

    Trains on all labelled patients; a validation part of them stops the training and chooses
    the operating threshold. Resumes where it was interrupted.
    """
    from histodistill.cli.progress import counting
    from histodistill.cli.training_progress import one_training
    from histodistill.experiment import load, read_experiment
    from histodistill.training import fold_ensemble, forget_final, train_final

    experiment = read_experiment(experiment_file)
    target = one_of("target", target, list(experiment.targets))
    method = one_of("method", method, list(experiment.methods))
    if out.exists():
        raise InputError(f"{out}: exists already; remove it or choose another folder")
    if ensemble and seed is not None:
        raise InputError("--ensemble averages the models of all seeds: leave out --seed")
    with counting("Reading bags") as progress:
        data = load(experiment, progress)
    if ensemble:
        bundle = fold_ensemble(experiment, data, target, method)
        bundle.save(out, date.today())
    else:
        seed = experiment.seeds_of(method)[0] if seed is None else seed
        epochs = experiment.methods[method].training.max_epochs
        with one_training(f"{target} {method}", epochs) as on_epoch:
            bundle = train_final(experiment, data, target, method, seed=seed, on_epoch=on_epoch)
        bundle.save(out, date.today())
        forget_final(experiment, target, method, seed)
    say(f"Bundle: {located(out)} ({counted(len(bundle.members), 'model')}; see MODEL_CARD.md)")
    answer(bundle=out, target=target, method=method, seed=seed, models=len(bundle.members))
