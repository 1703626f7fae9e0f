"""Rankings of genes and sets: stability, nulls and tables by hand."""

from __future__ import annotations

import numpy as np
import pytest

from histodistill.explanation.gene_plot import gene_figure
from histodistill.explanation.gene_ranking import kuncheva, rank_genes
from histodistill.explanation.gene_set_ranking import rank_sets
from histodistill.explanation.gene_shares import GeneShares

GENES = tuple(f"mrna:G{number}" for number in range(60))


def shares_of(
    strong: dict[int, float], genes: tuple[str, ...] = GENES, n: int = 30, seed: int = 0
) -> GeneShares:
    """Shares of a linear network whose weights are small but for some genes."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.01, len(genes))
    for place, own in strong.items():
        weight[place] = own
    values = rng.normal(size=(n, len(genes)))
    shares = values * weight
    patients = tuple(f"P{seed}-{number}" for number in range(n))
    size = np.abs(shares).mean(axis=0, keepdims=True)
    return GeneShares("genomic", 1, genes, patients, shares, values, np.zeros(n), "exact", 0, size)


def test_kunchevas_index_is_that_of_a_hand() -> None:
    one, other = np.zeros(20), np.zeros(20)
    one[:4], other[2:6] = [4, 3, 2, 1], [4, 3, 2, 1]
    expected = (2 * 20 - 16) / (4 * (20 - 4))
    assert kuncheva(np.stack([one, other]), 4) == pytest.approx(expected)
    assert kuncheva(np.stack([one, one, one]), 4) == 1
    assert np.isnan(kuncheva(one[None], 4))
    assert np.isnan(kuncheva(np.stack([one, other]), 20))


def test_by_chance_kunchevas_index_is_0() -> None:
    rows = np.random.default_rng(0).random((40, 200))
    assert abs(kuncheva(rows, 10)) < 0.02


def test_genes_that_one_of_two_does_not_read_are_not_compared() -> None:
    one, other = np.arange(12.0), np.arange(12.0)
    one[11] = np.nan
    assert kuncheva(np.stack([one, other]), 3) == 1


def test_the_strongest_genes_come_first_with_their_slope() -> None:
    folds = [shares_of({7: 1.0, 3: -0.5}, seed=seed) for seed in range(3)]
    ranking = rank_genes(folds)
    first, second = ranking.genes.iloc[0], ranking.genes.iloc[1]
    assert (first["gene"], second["gene"]) == ("mrna:G7", "mrna:G3")
    assert first["per_sd"] == pytest.approx(1, abs=1e-6)
    assert second["per_sd"] == pytest.approx(-0.5, abs=1e-6)
    assert first["in_top"] == 1
    assert ranking.genes["share"].sum() == pytest.approx(1)
    sizes = [np.abs(fold.shares).mean(axis=0) for fold in folds]
    assert first["share_high"] == pytest.approx(max(size[7] / size.sum() for size in sizes))
    assert (ranking.parts, ranking.n_parts, ranking.n_patients) == ("folds", 3, 90)
    assert 0 < ranking.stability[10] < 1
    assert "p" not in ranking.genes


def test_refits_with_permuted_labels_give_p_values() -> None:
    found = [shares_of({7: 1.0}, seed=0)]
    null = [shares_of({seed: 0.2}, seed=seed) for seed in range(1, 20)]
    genes = rank_genes(found, null=null).genes.set_index("gene")
    assert genes.loc["mrna:G7", "p"] == pytest.approx(1 / 20)
    assert genes.loc["mrna:G7", "p_family"] == pytest.approx(1 / 20)
    relative = [np.abs(each.shares).mean(0) / np.abs(each.shares).mean(0).sum() for each in null]
    share = genes.loc["mrna:G30", "share"]
    expected = (1 + sum(own[30] >= share for own in relative)) / 20
    assert genes.loc["mrna:G30", "p"] == pytest.approx(expected)
    assert genes.loc["mrna:G30", "p_family"] == 1


def test_sets_are_held_against_random_sets_and_refits() -> None:
    found = shares_of({7: 1.0, 3: 1.0})
    sets = {
        "driving": ["G7", "G3", "G9", "ABSENT"],
        "idle": ["G10", "G11", "G12"],
        "elsewhere": ["ABSENT"],
    }
    null = [shares_of({40: 1.0}, seed=seed) for seed in range(1, 10)]
    table = rank_sets(GENES, found.shares, sets, null).set_index("set")
    assert table.index.tolist() == ["driving", "idle"]
    assert table[["genes", "of"]].to_numpy().tolist() == [[3, 4], [3, 3]]
    expected = np.abs(found.shares[:, [7, 3, 9]].sum(axis=1)).mean()
    assert table.loc["driving", "log_odds"] == pytest.approx(expected)
    assert (table["q_genes"] < 0.05).tolist() == [True, False]
    assert table.loc["driving", "p"] == pytest.approx(0.1)


def test_a_gene_of_two_blocks_counts_in_both() -> None:
    genes = ("mrna:G1", "cna:G1", "mrna:G2")
    found = shares_of({}, genes)
    table = rank_sets(genes, found.shares, {"one": ["G1"]})
    expected = np.abs(found.shares[:, :2].sum(axis=1)).mean()
    assert table["log_odds"].tolist() == pytest.approx([expected])


def test_random_sets_are_those_of_a_plain_loop() -> None:
    found = shares_of({7: 1.0})
    table = rank_sets(GENES, found.shares, {"three": ["G1", "G2", "G7"]}, seed=5)
    rng = np.random.default_rng(5)
    size = np.abs(found.shares[:, [1, 2, 7]].sum(axis=1)).mean()
    larger = 0
    for _ in range(1000):
        own = rng.permutation(60)[:3]
        larger += np.abs(found.shares[:, own].sum(axis=1)).mean() >= size
    assert table["p_genes"].tolist() == [(1 + larger) / 1001]


def test_the_picture_names_genes_and_stability() -> None:
    folds = [shares_of({7: 1.0, 3: -0.5}, seed=seed) for seed in range(3)]
    figure = gene_figure(rank_genes(folds, {"driving": ["G7", "G3"]}), "genomic network")
    genes, sets = figure.axes
    assert genes.get_yticklabels()[-1].get_text() == "mrna:G7"
    assert sets.get_yticklabels()[-1].get_text() == "driving (2)"
    assert "Kuncheva" in figure.get_suptitle()
