"""Which genes, and which sets of genes, drive a network: size, stability, and two nulls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from histodistill.explanation.contributions import Floats
from histodistill.explanation.gene_set_ranking import rank_sets
from histodistill.explanation.gene_shares import GeneShares

# Sizes of the top lists whose stability is measured.
TOPS = (10, 50)


@dataclass(frozen=True)
class GeneRanking:
    """The genes of one network and class, the strongest first.

    Attributes:
        network: ``genomic`` or ``multimodal``.
        target: Index of the class.
        genes: A row a gene: ``gene``; ``share``, its part in the sizes of all genes' shares, the
            mean over parts; ``share_low`` and ``share_high``, the least and the most of any part;
            ``log_odds``, the mean size of its share; ``per_sd``, what a standard deviation of the
            gene adds to the log odds; ``in_top``, the part of the parts in which it is among the
            first ten; and where there is a null ``p`` and ``p_family``.
        sets: A row a set: ``set``, ``genes`` (how many are read), ``of`` (how many it has),
            ``share``, ``log_odds``, ``p_genes`` and ``q_genes`` against random sets of as many
            genes; where there is a null ``p``.
        stability: Kuncheva's index of the first 10 and 50 genes over the parts: 1 where they are
            always the same, 0 as by chance; NaN of one part.
        parts: What parts are: ``folds`` or ``members``.
        n_parts: How many.
        n_patients: Patients that were explained.
        way: How the shares were found.
        gap: How much they miss the log odds by, relative, at most.
        n_permutations: Refits with permuted labels behind the null.
    """

    network: str
    target: int
    genes: pd.DataFrame
    sets: pd.DataFrame
    stability: Mapping[int, float]
    parts: str
    n_parts: int
    n_patients: int
    way: str
    gap: float
    n_permutations: int = 0


def rank_genes(
    found: Sequence[GeneShares],
    sets: Mapping[str, Sequence[str]] | None = None,
    null: Sequence[GeneShares] = (),
    *,
    seed: int = 0,
) -> GeneRanking:
    """Rank the genes of a network.

    Args:
        found: Its shares: of one model, or of the models of the folds, each on patients of its
            own; of one network and class.
        sets: Sets of genes by name; genes are found in every block.
        null: Shares by the same network, refitted with labels that were permuted.
        seed: Of the random sets.
    """
    sizes, genes, parts = _sizes(found)
    relative = sizes / np.nansum(sizes, axis=1, keepdims=True)
    share = np.nan_to_num(relative).mean(axis=0)
    shares, values = _stacked(found, genes)
    table = pd.DataFrame(
        {
            "gene": genes,
            "share": share,
            "share_low": np.nan_to_num(relative).min(axis=0),
            "share_high": np.nan_to_num(relative).max(axis=0),
            "log_odds": np.abs(shares).mean(axis=0),
            "per_sd": _slope(shares, values),
            "in_top": _in_top(relative, TOPS[0]),
        }
    )
    if null:
        table["p"], table["p_family"] = _p_values(share, _null_shares(null, genes))
    first = found[0]
    return GeneRanking(
        network=first.network,
        target=first.target,
        genes=table.sort_values("share", ascending=False, ignore_index=True, kind="stable"),
        sets=rank_sets(genes, shares, sets or {}, null, seed=seed),
        stability={k: kuncheva(relative, k) for k in TOPS},
        parts=parts,
        n_parts=len(relative),
        n_patients=len(shares),
        way="exact" if all(each.way == "exact" for each in found) else "integrated gradients",
        gap=max(each.gap for each in found),
        n_permutations=len(null),
    )


def kuncheva(sizes: Floats, top: int) -> float:
    """Kuncheva's index of stability, the mean over pairs of rows.

    Source: Kuncheva, "A stability index for feature selection", AIA 2007, eq. 4: the overlap of
    two lists of k among n, corrected for chance. Rows compare the genes that both read.

    Args:
        sizes: Size of each gene in each row, [rows, K]; NaN where a row does not read it.
        top: Length k of the lists.

    Returns:
        NaN where there is one row alone, or no more genes than ``top``.
    """
    found = []
    for one, other in combinations(sizes, 2):
        both = np.flatnonzero(~np.isnan(one) & ~np.isnan(other))
        n = len(both)
        if n > top:
            shared = len(np.intersect1d(_first(one[both], top), _first(other[both], top)))
            found.append((shared * n - top**2) / (top * (n - top)))
    return float(np.mean(found)) if found else float("nan")


def _sizes(found: Sequence[GeneShares]) -> tuple[Floats, list[str], str]:
    """Size of each gene's shares in each part: folds, or the members of a single model."""
    if len(found) == 1:
        return found[0].by_member, list(found[0].genes), "members"
    genes = list(dict.fromkeys(gene for each in found for gene in each.genes))
    sizes = np.full((len(found), len(genes)), np.nan)
    place = {gene: column for column, gene in enumerate(genes)}
    for row, each in enumerate(found):
        sizes[row, [place[gene] for gene in each.genes]] = np.abs(each.shares).mean(axis=0)
    return sizes, genes, "folds"


def _stacked(found: Sequence[GeneShares], genes: Sequence[str]) -> tuple[Floats, Floats]:
    """Shares and values of all patients, [n, K]; 0 where a model does not read a gene."""
    place = {gene: column for column, gene in enumerate(genes)}
    n_patients = sum(len(each.patients) for each in found)
    shares, values = np.zeros((2, n_patients, len(genes)))
    first = 0
    for each in found:
        columns = [place[gene] for gene in each.genes]
        rows = slice(first, first + len(each.patients))
        shares[rows, columns] = each.shares
        values[rows, columns] = each.values
        first += len(each.patients)
    return shares, values


def _slope(shares: Floats, values: Floats) -> Floats:
    """What a standard deviation of each gene adds, by least squares through 0."""
    square = np.square(values).sum(axis=0)
    return np.asarray((shares * values).sum(axis=0) / np.where(square > 0, square, np.inf))


def _first(sizes: Floats, top: int) -> NDArray[np.int64]:
    return np.argsort(-sizes, kind="stable")[:top]


def _in_top(relative: Floats, top: int) -> Floats:
    """In which part of the rows each gene is among the first."""
    count = np.zeros(relative.shape[1])
    for row in np.nan_to_num(relative):
        count[_first(row, top)] += 1
    return count / len(relative)


def _null_shares(null: Sequence[GeneShares], genes: Sequence[str]) -> Floats:
    """What each refit with permuted labels gives to each gene, [refits, K]; they add up to 1."""
    rows = []
    for each in null:
        size = np.abs(each.shares).mean(axis=0)
        own = dict(zip(each.genes, size / max(float(size.sum()), 1e-300), strict=True))
        rows.append([own.get(gene, 0.0) for gene in genes])
    return np.array(rows)


def _p_values(share: Floats, null: Floats) -> tuple[Floats, Floats]:
    """Of each gene alone, and of the largest of all genes: how many refits give as much."""
    alone = (1 + (null >= share).sum(axis=0)) / (1 + len(null))
    family = (1 + (null.max(axis=1)[:, None] >= share).sum(axis=0)) / (1 + len(null))
    return alone, family
