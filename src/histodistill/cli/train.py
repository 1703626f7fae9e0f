"""The `histodistill train` command."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.options import (
    ExperimentFile,
    Json,
    On,
    SomeTargets,
    Threads,
    one_of,
    some_of,
)
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.deploy import Bundle
    from histodistill.experiment import Experiment, ExperimentData


def command(
    experiment_file: ExperimentFile,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the bundle; must not exist yet.")
    ],
    target: SomeTargets = None,
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
    on: On = "local",
    threads: Threads = None,
    _json: Json = False,
) -> None:
    """Fit the model to deploy and write it as a bundle: safetensors and JSON, no pickle.

    Trains on all labelled patients; a validation part of them stops the training and chooses
    the operating threshold. Resumes where it was interrupted. The folder answers all targets of
    the experiment, or those that are named.
    """
    from histodistill.cli.progress import counting
    from histodistill.deploy import Panel
    from histodistill.experiment import load, read_experiment
    from histodistill.training import fold_ensemble, forget_final

    experiment = read_experiment(experiment_file)
    targets = some_of("target", target, list(experiment.targets))
    method = one_of("method", method, list(experiment.methods))
    if out.exists():
        raise InputError(f"{out}: exists already; remove it or choose another folder")
    if ensemble and seed is not None:
        raise InputError("--ensemble averages the models of all seeds: leave out --seed")
    with counting("Reading bags") as progress:
        data = load(experiment, progress)
    say_notes(data.notes)
    if ensemble:
        panel = Panel({name: fold_ensemble(experiment, data, name, method) for name in targets})
        panel.save(out, date.today())
    else:
        seed = experiment.seeds_of(method)[0] if seed is None else seed
        panel = Panel(_trained(experiment, data, targets, method, seed, on, threads))
        panel.save(out, date.today())
        for name in targets:
            forget_final(experiment, name, method, seed)
    models = sum(len(bundle.members) for bundle in panel.bundles.values())
    of = f" of {', '.join(targets)}" if len(targets) > 1 else ""
    say(f"Bundle: {located(out)} ({counted(models, 'model')}{of}; see MODEL_CARD.md)")
    named = {"target": targets[0]} if len(targets) == 1 else {"targets": targets}
    answer(bundle=out, **named, method=method, seed=seed, models=models)


def _trained(
    experiment: Experiment,
    data: ExperimentData,
    targets: list[str],
    method: str,
    seed: int,
    on: str,
    threads: int | None,
) -> dict[str, Bundle]:
    """The bundles of targets: trained here, with their epochs, or elsewhere."""
    import torch

    from histodistill.cli.training_progress import one_training
    from histodistill.engines.choice import Place
    from histodistill.training import train_panel
    from histodistill.training.run.attempts import torch_threads
    from histodistill.training.run.final_elsewhere import train_elsewhere

    place = Place.named(on)
    if place.engine != "local":
        return train_elsewhere(experiment, targets, method, seed=seed, place=place, threads=threads)
    epochs = experiment.methods[method].training.max_epochs
    with (
        torch_threads(threads or torch.get_num_threads()),
        one_training(f"{', '.join(targets)} {method}", epochs) as on_epoch,
    ):
        return train_panel(experiment, data, targets, method, seed=seed, on_epoch=on_epoch)
