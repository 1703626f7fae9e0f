"""Labels held against what is known of the patients: their genes, hospitals and slides.

Rows that slipped by one, a column sorted alone and signs turned round leave every table in order.
What they break is what biology makes sure of: the gene of a receptor tells its status.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from histodistill.cohort.receptors import Receptor, receptors_of
from histodistill.cohort.targets import Target
from histodistill.experiment.data import ExperimentData
from histodistill.experiment.inputs import BlockSettings
from histodistill.experiment.receptor_pairs import receptor_pair_notes
from histodistill.experiment.settings import Experiment
from histodistill.genomics.quantity import quantity_of

_FEWEST_PATIENTS = 20
_FEWEST_OF_A_CLASS = 5
# The genes tell their receptors with AUC .9 or more in published cohorts, those that follow them
# with .85; with a tenth of the labels wrong, genes still tell with .85, and with half with .7.
_EXPECTED, _IMPLAUSIBLE = 0.85, 0.8
_ERRORS = 1.64
# Parts of a table in which rows may have slipped. Of 600 sound samples of 60 to 100 patients of
# TCGA-BRCA, one is told.
_STRETCHES, _FEWEST_ROWS = (2, 4), 25
# What names of blocks and files of cBioPortal, Xena and the GDC call other quantities of genes.
_NO_EXPRESSION = re.compile(
    r"cn[av]|copy.?number|gistic|ascat|segment|methyl|hm27|hm450|mutat", re.IGNORECASE
)
# Sizes of bags differ between classes where tumours do, but do not tell them apart.
_TELLING = 0.85


def plausibility_notes(experiment: Experiment, data: ExperimentData) -> Iterator[str]:
    """What is implausible about the labels, in sentences."""
    for target in experiment.targets.values():
        labels = data.labels(target.name)
        if target.positive_index is None or len(labels) < _FEWEST_PATIENTS:
            continue
        positive = labels == target.positive_index
        yield from _against_genes(experiment, target, positive, data)
        yield from _against_bags(target.name, positive, data)
    yield from _same_targets(experiment, data)
    yield from receptor_pair_notes(experiment, data)


def _against_genes(
    experiment: Experiment, target: Target, positive: pd.Series[bool], data: ExperimentData
) -> Iterator[str]:
    for receptor in receptors_of((target.name, target.column)):
        for block, table in data.genomics.items():
            known = table.loc[table.index.intersection(positive.index)]
            found = _best_gene(receptor, known, positive.loc[known.index])
            if found is None or not _may_be_expression(experiment.genomics[block], block, table):
                continue
            gene, auc, doubt = found
            if auc + doubt < _IMPLAUSIBLE:
                yield _contradiction(target.name, block, gene, auc, len(known))
            else:
                yield from _of_sites(target.name, block, known[gene], positive, data.clinical.sites)
                orders = {
                    "the clinical table": data.clinical.rows,
                    f"block {block}": list(known.index),
                }
                yield from _of_rows(target.name, block, known[gene], positive, orders)


def _may_be_expression(settings: BlockSettings, block: str, table: pd.DataFrame) -> bool:
    """Whether a block can be expression: copies, methylation and mutations tell no receptor."""
    named_otherwise = _NO_EXPRESSION.search(f"{block} {settings.file.name}") is not None
    return not named_otherwise and quantity_of(table.to_numpy()) != "levels"


def _contradiction(target: str, block: str, gene: str, auc: float, n: int) -> str:
    cause = (
        "are classes or signs turned round?"
        if auc < 1 - _IMPLAUSIBLE
        else "do labels and samples belong to the same patients (a column sorted alone, rows that "
        "slipped)? Is it the right column, and is the block expression?"
    )
    return (
        f"{target} and block {block} contradict each other: {gene} tells {target} with AUC "
        f"{auc:.2f} over {n} patients, where it does with {_EXPECTED} or more elsewhere; {cause}"
    )


def _of_sites(
    target: str,
    block: str,
    gene: pd.Series[float],
    positive: pd.Series[bool],
    sites: pd.Series[str],
) -> Iterator[str]:
    """Hospitals where the gene of a receptor says the opposite."""
    for site, own in gene.groupby(sites.reindex(gene.index)):
        found = _auc(own, positive.loc[own.index])
        if found is not None and sum(found) < 0.5:
            yield (
                f"{target} and block {block} contradict each other in hospital {site}: {gene.name} "
                f"tells {target} there with AUC {found[0]:.2f} over {len(own)} patients; are its "
                "classes or signs turned round?"
            )


def _of_rows(
    target: str,
    block: str,
    gene: pd.Series[float],
    positive: pd.Series[bool],
    orders: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """Halves or quarters of a table's rows where the gene of a receptor tells nothing."""
    for table, order in orders.items():
        rows = np.array([patient for patient in order if patient in gene.index])
        for part in (part for n in _STRETCHES for part in np.array_split(rows, n)):
            found = _auc(gene.loc[part], positive) if len(part) >= _FEWEST_ROWS else None
            if found is not None and sum(found) < _IMPLAUSIBLE:
                yield (
                    f"{target} and block {block} contradict each other between the rows of "
                    f"{part[0]} and {part[-1]} in {table}: {gene.name} tells {target} there with "
                    f"AUC {found[0]:.2f} over {len(part)} patients, and with "
                    f"{_auc_of(gene, positive):.2f} in all; did rows slip from there on?"
                )
                return


def _auc_of(values: pd.Series[float], positive: pd.Series[bool]) -> float:
    found = _auc(values, positive)
    return found[0] if found is not None else float("nan")


def _best_gene(
    receptor: Receptor, table: pd.DataFrame, positive: pd.Series[bool]
) -> tuple[str, float, float] | None:
    """The gene of a receptor, else the best that follows it; its AUC and what chance adds."""
    own = [gene for gene in (receptor.gene, receptor.ensembl) if gene in table]
    genes = own or [gene for gene in receptor.followers if gene in table]
    found = [(gene, *told) for gene in genes if (told := _auc(table[gene], positive)) is not None]
    return max(found, key=lambda each: each[1], default=None)


def _auc(values: pd.Series[float], positive: pd.Series[bool]) -> tuple[float, float] | None:
    """AUC of some values, and how far chance may have moved it (one-sided 95 %).

    The variance is at most A (1 - A) / min(n+, n-) (Birnbaum and Klose, 1957).
    """
    known = values.dropna()
    is_positive = positive.loc[known.index].to_numpy(bool)
    n_positive, n_negative = int(is_positive.sum()), int((~is_positive).sum())
    fewest = min(n_positive, n_negative)
    if fewest < _FEWEST_OF_A_CLASS or len(known) < 2 * _FEWEST_OF_A_CLASS:
        return None
    ranks = known.rank().to_numpy()[is_positive].sum()
    auc = float((ranks - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))
    return auc, _ERRORS * float(np.sqrt(auc * (1 - auc) / fewest))


def _against_bags(target: str, positive: pd.Series[bool], data: ExperimentData) -> Iterator[str]:
    if data.bags is None:
        return
    sizes = pd.Series(
        {patient: float(data.bags.n_patches(patient)) for patient in data.bags.patients}
    )
    sizes = sizes[sizes.index.isin(positive.index)]
    found = _auc(sizes, positive)
    if found is not None and max(found[0], 1 - found[0]) - found[1] > _TELLING:
        yield (
            f"the number of patches alone tells {target} with AUC {max(found[0], 1 - found[0]):.2f}"
            f" over {len(sizes)} patients: were the slides of both classes scanned, outlined and "
            "extracted alike?"
        )


def _same_targets(experiment: Experiment, data: ExperimentData) -> Iterator[str]:
    """Targets whose labels are equal in every patient who has both."""
    names = list(experiment.targets)
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = pd.concat([data.labels(one), data.labels(other)], axis=1).dropna()
            if len(both) >= _FEWEST_PATIENTS and (both.iloc[:, 0] == both.iloc[:, 1]).all():
                yield (
                    f"{one} and {other} are equal in all {len(both)} patients who have both: do "
                    "their columns hold the same, or was one copied over the other?"
                )
