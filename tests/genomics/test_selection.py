"""Which genes are chosen, and that nothing but the given patients decides it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import f_oneway

from histodistill.errors import InputError
from histodistill.genomics import select_genes
from tests.genomics.test_cox import lifelines


@pytest.fixture
def cohort():
    """Values of 60 patients, their classes and survival; G0, G1 and G2 matter, in this order."""
    random = np.random.default_rng(0)
    patients = [f"P{i}" for i in range(60)]
    labels = pd.Series(random.permutation(["neg", "pos", "het"] * 20), index=patients)
    x = random.normal(size=(60, 8))
    effect = labels.map({"neg": -1, "het": 0, "pos": 1}).to_numpy()
    x[:, 0] += 3 * effect
    x[:, 1] += 2 * effect
    x[:, 2] += effect
    values = pd.DataFrame(x, patients, [f"G{i}" for i in range(8)], dtype=np.float32)
    time = random.exponential(np.exp(-1.5 * x[:, 0] / 3 - 0.7 * x[:, 1] / 2))
    survival = pd.DataFrame({"time": time, "event": random.random(60) < 0.8}, index=patients)
    return values, labels, survival


def refused(*arguments, **options) -> str:
    with pytest.raises(InputError) as caught:
        select_genes(*arguments, **options)
    return str(caught.value)


def test_cox_ranks_by_p_value(cohort):
    values, _, survival = cohort
    survival = survival.iloc[::-1]  # in another order than the values
    p = {gene: lifelines(values[gene], survival["time"], survival["event"])[1] for gene in values}
    assert select_genes(values, "cox", None, survival=survival) == sorted(p, key=lambda g: p[g])
    assert select_genes(values, "cox", 2, survival=survival) == sorted(p, key=lambda g: p[g])[:2]


def test_cox_leaves_out_patients_without_survival(cohort):
    values, _, survival = cohort
    survival.loc["P3":"P9", "time"] = np.nan
    survival = survival.drop("P20")
    known = values.drop(["P20", *(f"P{i}" for i in range(3, 10))])
    assert select_genes(values, "cox", None, survival=survival) == select_genes(
        known, "cox", None, survival=survival
    )


def test_univariate_ranks_by_analysis_of_variance_with_missing_values(cohort):
    values, labels, _ = cohort
    values.loc["P0":"P15", "G1"] = np.nan
    labels = labels.drop("P59")
    labels["P1"] = None
    known = labels.dropna().index
    p = {}
    for gene in values:
        column = values.loc[known, gene].dropna().astype(float)
        p[gene] = f_oneway(*(g for _, g in column.groupby(labels[column.index]))).pvalue
    assert select_genes(values, "univariate", None, labels=labels) == sorted(p, key=p.__getitem__)


def test_a_gene_seen_in_one_class_alone_is_left_out(cohort):
    values, labels, _ = cohort
    values["G0"] = values["G0"].where(labels == "pos")
    assert "G0" not in select_genes(values, "univariate", None, labels=labels)


def test_variance_ranks_by_spread_and_breaks_ties_by_name():
    values = pd.DataFrame(
        {"B": [1, 2, 3], "A": [3, 2, 1], "C": [0, 5, np.nan], "D": [7, 7, 7], "E": np.nan}
    )
    assert select_genes(values, "variance", None) == ["C", "A", "B"]


@pytest.mark.parametrize("method", ["cox", "univariate"])
def test_equal_genes_are_in_alphabetical_order_and_useless_ones_left_out(cohort, method):
    values, labels, survival = cohort
    values = values[["G0", "G5"]].assign(
        B=values["G1"], A=values["G1"], Z=values["G1"], CONST=2.0, EMPTY=np.nan
    )
    values["ONLY"] = np.where(np.arange(60) < 1, 1.0, np.nan)
    chosen = select_genes(values, method, None, labels=labels, survival=survival)
    at = chosen.index("A")
    assert chosen[at : at + 3] == ["A", "B", "Z"]
    assert sorted(chosen) == ["A", "B", "G0", "G5", "Z"]


@pytest.mark.parametrize("method", ["cox", "univariate", "variance"])
def test_patients_who_are_not_given_decide_nothing(cohort, method):
    values, labels, survival = cohort
    training = values.index[:40]
    disturbed = labels.copy()
    disturbed.iloc[40:] = "pos"
    later = survival.copy()
    later.loc[later.index[40:], "time"] = 0.001
    first = select_genes(values.loc[training], method, 4, labels=labels, survival=survival)
    second = select_genes(values.loc[training], method, 4, labels=disturbed, survival=later)
    assert first == second


def test_excluded_genes_never_appear(cohort):
    values, labels, _ = cohort
    chosen = select_genes(values, "univariate", 3, labels=labels, exclude=["G0", "ESR1"])
    assert chosen[:2] == ["G1", "G2"]
    assert "G0" not in select_genes(values, "all", None, exclude=["G0"])
    assert select_genes(values, "list", None, genes=["G3", "G0"], exclude=["G0"]) == ["G3"]


def test_list_and_all_keep_their_order(cohort):
    values, _, _ = cohort
    assert select_genes(values, "list", None, genes=["G5", "G1", "G5"]) == ["G5", "G1"]
    assert select_genes(values, "list", 1, genes=["G5", "G1"]) == ["G5"]
    empty = values.assign(G2=np.nan)
    assert select_genes(empty, "all", None) == ["G0", "G1", "G3", "G4", "G5", "G6", "G7"]


def test_refusals(cohort):
    values, labels, survival = cohort
    assert "must be 1 or more, not 0" in refused(values, "variance", 0)
    assert "'list' needs the names of the genes" in refused(values, "list", None)
    assert "names 2 genes that the table lacks: X, Y; take them off" in refused(
        values, "list", None, genes=["G1", "X", "Y"]
    )
    assert "1 genes of the gene list have no value in the training patients: G1" in refused(
        values.assign(G1=np.nan), "list", None, genes=["G1"]
    )
    assert "leaves no gene: all 8 are excluded, constant or without values" in refused(
        values * 0, "variance", None
    )
    assert "'univariate' needs the labels" in refused(values, "univariate", 3)
    assert "there are neg: 20" in refused(values, "univariate", 3, labels=labels[labels == "neg"])
    assert "there are none" in refused(values, "univariate", 3, labels=labels[:0])
    assert "needs survival: the columns 'time' and 'event'" in refused(values, "cox", 3)
    assert "needs survival" in refused(values, "cox", 3, survival=survival[["time"]])


def test_impossible_survival_is_named_together(cohort):
    values, _, survival = cohort
    wrong = survival.astype({"event": float})
    wrong.loc["P1", "time"] = -1
    wrong.loc["P2", "time"] = np.inf
    wrong.loc["P3", "event"] = 2
    assert refused(values, "cox", 3, survival=wrong).splitlines() == [
        "Survival: patients P1, P2 have a negative or infinite time.",
        "Survival: patients P3 have an event other than 0 or 1.",
    ]
    none = survival.assign(event=[1] + [0] * 59)
    assert "needs 2 events or more; of the 60 training patients with genomics and survival 1" in (
        refused(values, "cox", 3, survival=none)
    )
