"""Which genes drive the teachers: of a bundle, or of a cross-validation with its null."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from histodistill.deploy import Bundle
from histodistill.deploy.gene_blocks import completed
from histodistill.deploy.predict import check_request
from histodistill.errors import InputError, listed
from histodistill.experiment import Experiment
from histodistill.experiment.data import ExperimentData
from histodistill.explanation.contributions import COMPLETE
from histodistill.explanation.gene_ranking import GeneRanking, rank_genes
from histodistill.explanation.gene_set_ranking import columns_of
from histodistill.explanation.gene_shares import GeneShares, explain_genes
from histodistill.features import BagStore
from histodistill.spreadsheets import write_csv
from histodistill.training.fit.ensemble import fit_ensemble
from histodistill.training.fold.fold_data import prepare_fold
from histodistill.training.folders import MODEL
from histodistill.training.run.bundle_info import bundle_info
from histodistill.training.run.final import final_fold
from histodistill.training.run.planned_fits import Fit, finished_fits
from histodistill.workflows.gene_page import write_gene_page

Sets = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class GenesExplained:
    """Which genes drive the networks that read genes.

    Attributes:
        rankings: One for each network, and for each class where there are more than two.
        classes: Names of the classes.
        notes: Sentences: what the reader must know.
    """

    rankings: tuple[GeneRanking, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]

    def write(self, folder: Path) -> None:
        """Write ``genes.html``, ``genes.csv``, ``sets.csv``, ``stability.csv`` and pictures.

        Args:
            folder: Where; what an earlier call wrote there is replaced.
        """
        tables: dict[str, list[pd.DataFrame]] = {"genes": [], "sets": []}
        stability = []
        for ranking in self.rankings:
            named = {"network": ranking.network, "class": self.classes[ranking.target]}
            tables["genes"].append(ranking.genes.assign(**named))
            tables["sets"].append(ranking.sets.assign(**named))
            stability.append(named | _stability(ranking))
        for name, parts in tables.items():
            table = pd.concat(parts, ignore_index=True)
            if len(table):
                first = ["network", "class"]
                write_csv(folder / f"{name}.csv", table[[*first, *table.columns.drop(first)]])
        write_csv(folder / "stability.csv", pd.DataFrame(stability))
        write_gene_page(folder, self.rankings, self.classes, self.notes)


@dataclass(frozen=True)
class TrainedBy:
    """What a bundle was trained by, so that it can be trained again with permuted labels.

    Attributes:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        permutations: How often.
    """

    experiment: Experiment
    data: ExperimentData
    permutations: int

    def refitted(self, bundle: Bundle, seed: int) -> Iterator[Bundle]:
        """Bundles like this one, each of permuted labels.

        Raises:
            InputError: The experiment has not trained the bundle.
        """
        info, known = bundle.info, self.experiment
        target = known.targets.get(info.target)
        if target is None or info.method not in known.methods or target.classes != info.classes:
            raise InputError(
                f"the experiment {known.name!r} did not train this bundle, which tells "
                f"{info.target} ({', '.join(info.classes)}) by the method {info.method}"
            )
        fold = final_fold(known, self.data, info.target)
        own_seed = known.seeds_of(info.method)[0]
        for number in range(self.permutations):
            fit = Fit(info.target, info.method, own_seed, fold)
            yield _refitted(known, self.data, fit, seed + number)


def explain_bundle_genes(
    bundle: Bundle,
    genomics: Mapping[str, pd.DataFrame],
    bags: BagStore | None = None,
    sets: Sets | None = None,
    *,
    trained_by: TrainedBy | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GenesExplained:
    """Explain a bundle's teachers by genes, on the given patients.

    Stability is that over the members. A null of permuted labels needs the training patients:
    the experiment that trained the bundle, or see :func:`explain_run_genes`.

    Args:
        bundle: A trained model.
        genomics: Blocks by the bundle's names, patients x genes.
        bags: Bags of the patients with slides, for the multimodal teacher.
        sets: Sets of genes by name.
        trained_by: What trained the bundle, for the null.
        seed: Of random sets and permutations.
        progress: Called with (models explained, models in all).

    Raises:
        InputError: As :func:`histodistill.predict` and :func:`histodistill.explain_genes`; no set
            has a gene that is read; the experiment has not trained the bundle.
    """
    check_request(bundle, genomics, bags=bags)
    found = [[each] for each in explain_genes(bundle, genomics, bags)]
    null = []
    if trained_by is not None:
        for number, refit in enumerate(trained_by.refitted(bundle, seed), start=1):
            null.append(explain_genes(refit, genomics, bags))
            if progress is not None:
                progress(number, trained_by.permutations)
    ranked = _ranked(found, null, bundle.info.classes, sets or {}, seed)
    _, lacking = completed(bundle, genomics)
    return replace(ranked, notes=(*lacking, *ranked.notes))


def explain_run_genes(
    experiment: Experiment,
    data: ExperimentData,
    target: str,
    method: str,
    sets: Sets | None = None,
    *,
    permutations: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> GenesExplained:
    """Explain the teachers of a finished cross-validation, each fold on its test patients.

    Stability is that over the folds of the first seed. For the null the method is trained again
    on a fold, one fold after the other, with the labels of its training and validation patients
    permuted.

    Args:
        experiment: The experiment.
        data: Its inputs, from ``load``.
        target: What is predicted.
        method: One of its methods.
        sets: Sets of genes by name.
        permutations: Trainings with permuted labels.
        seed: Of the permutations and of random sets.
        progress: Called with (models explained, models in all).

    Raises:
        InputError: The cross-validation is not finished; as :func:`histodistill.explain_genes`.
    """
    fits = finished_fits(experiment, data, target, method)
    allowed = experiment.methods[method].network.import_paths
    steps = len(fits) + permutations
    folds, null = [], []
    for number, fit in enumerate(fits, start=1):
        bundle = Bundle.load(fit.folder(experiment.output) / MODEL, allow=allowed)
        folds.append(explain_genes(bundle, data.genomics, data.bags, patients=fit.fold.test))
        if progress is not None:
            progress(number, steps)
    for number in range(permutations):
        bundle = _refitted(experiment, data, fits[number % len(fits)], seed + number)
        test = fits[number % len(fits)].fold.test
        null.append(explain_genes(bundle, data.genomics, data.bags, patients=test))
        if progress is not None:
            progress(len(fits) + number + 1, steps)
    same = [list(each) for each in zip(*folds, strict=True)]
    classes = experiment.targets[target].classes
    found = _ranked(same, null, classes, sets or {}, seed)
    if experiment.tuning is not None and permutations:
        told = "refits with permuted labels use the method's own settings, not the tuned ones"
        return replace(found, notes=(*found.notes, told))
    return found


def _refitted(experiment: Experiment, data: ExperimentData, fit: Fit, seed: int) -> Bundle:
    """The method of a fit, trained on its fold with permuted labels."""
    learning = sorted({*fit.fold.train, *fit.fold.validation})
    labels = data.clinical.labels.copy()
    shuffled = np.random.default_rng(seed).permutation(labels.loc[learning, fit.target].to_numpy())
    labels.loc[learning, fit.target] = shuffled
    permuted = replace(data, clinical=replace(data.clinical, labels=labels))
    inputs = prepare_fold(experiment, permuted, fit.target, fit.fold)
    settings = experiment.methods[fit.method]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fitted = fit_ensemble(
            experiment, settings, inputs, fit.seed, folder / "fit", teachers=folder / "teachers"
        )
    info = bundle_info(experiment, inputs, fit.method, settings, fit.seed)
    return Bundle(info, fitted.members)


def _ranked(
    found: Sequence[Sequence[GeneShares]],
    null: Sequence[Sequence[GeneShares]],
    classes: tuple[str, ...],
    sets: Sets,
    seed: int,
) -> GenesExplained:
    """Rankings of each network and class, and what is to be told.

    Args:
        found: Shares of each network and class: of one model, or of every fold.
        null: Shares by every refit with permuted labels, of all networks and classes.
        classes: Names of the classes.
        sets: Sets of genes.
        seed: Of random sets.
    """
    genes = {gene for parts in found for part in parts for gene in part.genes}
    read = columns_of(sorted(genes), sets)
    if sets and not read:
        raise InputError(
            f"no set has a gene that the model reads: sets name {listed(_some_genes(sets))}, the "
            f"model {listed(sorted(genes)[:3])}; are genes named by the same symbols?"
        )
    rankings = []
    for parts in found:
        which = parts[0].network, parts[0].target
        same = [own for refit in null for own in refit if (own.network, own.target) == which]
        rankings.append(rank_genes(parts, sets, same, seed=seed))
    return GenesExplained(tuple(rankings), classes, tuple(_notes(rankings, sets, read)))


def _notes(
    rankings: Sequence[GeneRanking], sets: Sets, read: Mapping[str, object]
) -> Iterator[str]:
    without = sorted(set(sets) - set(read))
    if without:
        told = f"{len(without)} of {len(sets)} sets have no gene that the model reads"
        yield f"{told}: {listed(without)}"
    for ranking in rankings:
        if ranking.gap > COMPLETE:
            yield (
                f"{ranking.network}: shares of the genes miss the log odds by {ranking.gap:.0%} of "
                "what the genes moved: the network jumps on the way, and they are approximate"
            )
    if not any(ranking.n_permutations for ranking in rankings):
        yield (
            "no null of permuted labels: give --permutations, and an experiment whose "
            "cross-validation is finished or, beside a bundle, --experiment"
        )


def _stability(ranking: GeneRanking) -> dict[str, object]:
    return {
        "parts": ranking.parts,
        "n_parts": ranking.n_parts,
        "patients": ranking.n_patients,
        "shares": ranking.way,
        "gap": ranking.gap,
        "permutations": ranking.n_permutations,
        **{f"kuncheva_{k}": index for k, index in ranking.stability.items()},
    }


def _some_genes(sets: Sets) -> list[str]:
    return [own[0] for own in sets.values()][:3]
