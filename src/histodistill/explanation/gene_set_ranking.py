"""Which sets of genes drive a network, beside random sets and refits with permuted labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from histodistill.explanation.contributions import Floats
from histodistill.explanation.gene_shares import GeneShares

RANDOM_SETS = 1000


def rank_sets(
    genes: Sequence[str],
    shares: Floats,
    sets: Mapping[str, Sequence[str]],
    null: Sequence[GeneShares] = (),
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Sets of genes by the mean size of the sum of their shares.

    Args:
        genes: Names ``block:gene``, K of them.
        shares: Shares of the genes, [n, K].
        sets: Sets by name; those of which no gene is read are left out.
        null: Shares by refits with permuted labels.
        seed: Of the random sets.

    Returns:
        The columns of :attr:`histodistill.explanation.gene_ranking.GeneRanking.sets`.
    """
    columns = columns_of(genes, sets)
    if not columns:
        return pd.DataFrame()
    from scipy.stats import false_discovery_control  # slow to import

    sizes = {name: set_size(shares, own) for name, own in columns.items()}
    random = _random_sizes(shares, {len(own) for own in columns.values()}, seed)
    whole = float(np.abs(shares).mean(axis=0).sum())
    p = [
        (1 + int((random[len(own)] >= sizes[name]).sum())) / (1 + RANDOM_SETS)
        for name, own in columns.items()
    ]
    table = pd.DataFrame(
        {
            "set": list(columns),
            "genes": [len(own) for own in columns.values()],
            "of": [len(set(sets[name])) for name in columns],
            "share": [
                np.abs(shares[:, own]).mean(axis=0).sum() / whole for own in columns.values()
            ],
            "log_odds": list(sizes.values()),
            "p_genes": p,
            "q_genes": false_discovery_control(p),
        }
    )
    if null:
        table["p"] = _against_refits({n: size / whole for n, size in sizes.items()}, sets, null)
    return table.sort_values("log_odds", ascending=False, ignore_index=True, kind="stable")


def columns_of(genes: Sequence[str], sets: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Where the genes of each set stand, whatever their block; sets without any are left out."""
    places: dict[str, list[int]] = {}
    for column, gene in enumerate(genes):
        places.setdefault(gene.partition(":")[2], []).append(column)
    found = {
        name: sorted(column for gene in set(own) for column in places.get(gene, ()))
        for name, own in sets.items()
    }
    return {name: own for name, own in found.items() if own}


def set_size(shares: Floats, columns: Sequence[int]) -> float:
    """Mean over patients of the size of the sum of some genes' shares."""
    return float(np.abs(shares[:, list(columns)].sum(axis=1)).mean())


def _random_sizes(shares: Floats, numbers: set[int], seed: int) -> dict[int, Floats]:
    """Sizes of random sets of so many genes, [1000] for each number.

    A draw is an order of the genes; the first m of it are its set of m genes.
    """
    generator = np.random.default_rng(seed)
    wanted = sorted(numbers)
    ends = np.array(wanted) - 1
    sizes = np.empty((RANDOM_SETS, len(wanted)))
    for draw in range(RANDOM_SETS):
        order = generator.permutation(shares.shape[1])[: wanted[-1]]
        sizes[draw] = np.abs(shares[:, order].cumsum(axis=1)[:, ends]).mean(axis=0)
    return dict(zip(wanted, sizes.T, strict=True))


def _against_refits(
    sizes: Mapping[str, float], sets: Mapping[str, Sequence[str]], null: Sequence[GeneShares]
) -> list[float]:
    """p-values: how many refits make as large a part of a set, of all that they make of genes."""
    larger = dict.fromkeys(sizes, 0)
    for each in null:
        whole = max(float(np.abs(each.shares).mean(axis=0).sum()), 1e-300)
        columns = columns_of(each.genes, sets)
        for name, size in sizes.items():
            larger[name] += set_size(each.shares, columns.get(name, [])) / whole >= size
    return [(1 + count) / (1 + len(null)) for count in larger.values()]
