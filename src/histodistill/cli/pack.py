"""The `histodistill pack` command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from histodistill.cli.console import answer, counted, located, say, say_notes
from histodistill.cli.options import ExperimentFile, Json
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.experiment import Experiment
    from histodistill.features import BagStore


def command(
    experiment_file: ExperimentFile,
    dtype: Annotated[
        Literal["float16", "bfloat16", "float32"] | None,
        typer.Option(
            metavar="NAME",
            help="float16, bfloat16 or float32; by default as the experiment says, else the "
            "narrowest that holds the values of every file.",
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder for the packed bags; by default as the experiment says."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Compare the content of all files with the recorded hashes, not only sizes and "
            "dates.",
        ),
    ] = False,
    _json: Json = False,
) -> None:
    """Pack all bags of an experiment into one file that training maps into memory.

    Every command that reads the experiment does so on first use; this one does it beforehand.
    Bags are packed again when a feature file, a patient or a slide has changed.
    """
    from histodistill.cli.progress import counting
    from histodistill.experiment import load_bags, read_experiment

    experiment = read_experiment(experiment_file)
    chosen: dict[str, str | None] = {
        "dtype": dtype,
        "cache": str(cache.absolute()) if cache else None,
    }
    changes = {name: value for name, value in chosen.items() if value is not None}
    packs = _changed(experiment, changes)
    with counting("Packing slides") as progress:
        bags = load_bags(packs, progress, check=check)
    if bags.packed is None:
        raise InputError(*bags.notes)
    say_notes(bags.notes)
    _report(bags, bags.packed.path)
    if packs != experiment:
        lines = ", ".join(f"`{name}: {value}`" for name, value in changes.items())
        file = located(experiment_file)
        say(f"Note: to train with these bags, write {lines} under `features` in {file}")


def _changed(experiment: Experiment, changes: dict[str, str]) -> Experiment:
    """The experiment with other settings of its features.

    Raises:
        InputError: It has no features, or they are never packed.
    """
    if experiment.features is None:
        raise InputError(f"{experiment.name}: the experiment has no `features` to pack")
    features = experiment.features.model_copy(update=changes)
    if features.cache is None:
        raise InputError(
            f"{experiment.name}: `features.cache` is null, so bags are never packed; take that "
            "setting out, or give --cache DIR"
        )
    return experiment.model_copy(update={"features": features})


def _report(bags: BagStore, path: Path) -> None:
    slides = sum(len(bags.slides(patient)) for patient in bags.patients)
    patches = sum(map(bags.n_patches, bags.patients))
    say(
        f"{counted(len(bags.patients), 'patient')}, {counted(slides, 'slide')}, {patches:,} "
        f"patches of {bags.width} x {bags.dtype_name}, {bags.n_bytes / 1e6:,.1f} MB: "
        f"{located(path)}"
    )
    answer(
        file=path,
        patients=len(bags.patients),
        slides=slides,
        patches=patches,
        width=bags.width,
        dtype=bags.dtype_name,
        bytes=bags.n_bytes,
    )
