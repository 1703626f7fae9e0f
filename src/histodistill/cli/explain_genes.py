"""The `histodistill explain-genes` command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histodistill.cli.console import counted, located, say, say_notes
from histodistill.cli.options import AllowedCode, PatientPattern, SlidesTable, named_files, one_of
from histodistill.errors import InputError

if TYPE_CHECKING:
    from histodistill.workflows.gene_explanation import GenesExplained
    from histodistill.workflows.new_features import NewFeatures

_SHOWN = 5


def command(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL",
            help="A bundle; or an experiment (YAML) whose cross-validation is finished.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for tables and pictures.")],
    genomics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="Of a bundle: a genomic block of the patients; as often as there are blocks.",
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Of a bundle: patch features of the same patients, for the multimodal teacher.",
        ),
    ] = None,
    slides_table: SlidesTable = None,
    patient_pattern: PatientPattern = None,
    target: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which target; needed if several.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of an experiment; needed if several.")
    ] = None,
    permutations: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Trainings with permuted labels, of an experiment one a fold in turn, for "
            "p-values of at least 1 / (N + 1).",
        ),
    ] = None,
    experiment: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of a bundle: the experiment (YAML) that trained it, for --permutations.",
        ),
    ] = None,
    sets: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Sets of genes, in a GMT file.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, metavar="N", help="Of random sets and permutations.")
    ] = 0,
    allow: AllowedCode = None,
) -> None:
    """Show which genes drive the genomic and the multimodal teacher.

    A bundle is explained on the patients that are given, an experiment on the test patients of
    each fold. Research use only; not a medical device.
    """
    from histodistill.deploy.panel import bundle_of
    from histodistill.genomics.gene_sets import read_gene_sets
    from histodistill.workflows.new_features import NewFeatures

    known = {} if sets is None else read_gene_sets(sets)
    of_bundle = {
        "--genomics": genomics,
        "--features": features,
        "--slides-table": slides_table,
        "--patient-pattern": patient_pattern,
        "--allow": allow,
        "--experiment": experiment,
    }
    of_experiment = {"--method": method}
    if model.is_dir():
        _refuse(of_experiment, "a bundle; give an experiment (YAML)")
        _require_both({"--permutations": permutations, "--experiment": experiment})
        null = None if experiment is None else (experiment, permutations or 0)
        new = None
        if features is not None:
            new = NewFeatures(features, slides_table, patient_pattern)
        else:
            of_features = {"--slides-table": slides_table, "--patient-pattern": patient_pattern}
            _refuse(of_features, "genes alone; give --features too")
        place = bundle_of(model, target)
        blocks = named_files(genomics or [])
        found = _bundle(place, blocks, new, allow or (), known, seed, null)
    else:
        _refuse(of_bundle, "an experiment, which names its own inputs")
        found = _experiment(model, target, method, permutations or 0, known, seed)
    say_notes(found.notes)
    out.mkdir(parents=True, exist_ok=True)
    found.write(out)
    for ranking in found.rankings:
        top = ", ".join(ranking.genes["gene"].head(_SHOWN))
        say(f"{ranking.network}, {found.classes[ranking.target]}: {top}, ...")
    say(f"{counted(len(found.rankings), 'ranking')}: {located(out / 'genes.csv')}")


def _refuse(given: Mapping[str, object], of: str) -> None:
    problems = [f"{name} has no effect on {of}" for name, value in given.items() if value]
    if problems:
        raise InputError(*problems)


def _require_both(given: Mapping[str, object]) -> None:
    """The null of a bundle needs the training patients, who serve nothing else."""
    missing = [name for name, value in given.items() if not value]
    if len(missing) == 1:
        (other,) = given.keys() - set(missing)
        raise InputError(
            f"{other} of a bundle needs {missing[0]} too: the bundle is trained again with "
            "permuted labels, by the experiment that trained it"
        )


def _bundle(
    folder: Path,
    genomics: Mapping[str, Path],
    features: NewFeatures | None,
    allow: Sequence[str],
    sets: Mapping[str, Sequence[str]],
    seed: int,
    null: tuple[Path, int] | None,
) -> GenesExplained:
    from histodistill.cli.progress import counting
    from histodistill.deploy import Bundle
    from histodistill.experiment import load, read_experiment
    from histodistill.workflows.gene_explanation import TrainedBy, explain_bundle_genes
    from histodistill.workflows.prediction import read_blocks

    bundle = Bundle.load(folder, allow)
    say_notes(bundle.notes)
    if not genomics:
        raise InputError("give the genes of patients: --genomics NAME=FILE")
    blocks, told = read_blocks(bundle, genomics)
    say_notes(told)
    bags = None
    if features is not None:
        bags, told = features.open(bundle.info.patient_pattern)
        say_notes(told)
    if null is None:
        return explain_bundle_genes(bundle, blocks, bags, sets, seed=seed)
    file, permutations = null
    experiment = read_experiment(file)
    with counting("Reading bags") as progress:
        trained_by = TrainedBy(experiment, load(experiment, progress), permutations)
    with counting("Models") as progress:
        return explain_bundle_genes(
            bundle, blocks, bags, sets, trained_by=trained_by, seed=seed, progress=progress
        )


def _experiment(
    file: Path,
    target: str | None,
    method: str | None,
    permutations: int,
    sets: Mapping[str, Sequence[str]],
    seed: int,
) -> GenesExplained:
    from histodistill.cli.progress import counting
    from histodistill.experiment import load, read_experiment
    from histodistill.workflows.gene_explanation import explain_run_genes

    experiment = read_experiment(file)
    target = one_of("target", target, list(experiment.targets))
    method = one_of("method", method, list(experiment.methods))
    with counting("Reading bags") as progress:
        data = load(experiment, progress)
    with counting("Models") as progress:
        return explain_run_genes(
            experiment,
            data,
            target,
            method,
            sets,
            permutations=permutations,
            seed=seed,
            progress=progress,
        )
