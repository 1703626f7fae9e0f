"""The univariate Cox regression of many genes against lifelines."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from histodistill.genomics import cox_p_values, read_genomic_table
from histodistill.genomics.cox import cox_z_scores

# By default lifelines stops when its p-values still move in the fourth digit.
PRECISE = {"precision": 1e-12, "r_precision": 1e-14}


def lifelines(x, time, event) -> tuple[float, float]:
    """Z score and p-value."""
    frame = pd.DataFrame({"x": x, "time": time, "event": event}).dropna()
    fitted = CoxPHFitter().fit(frame, "time", "event", fit_options=PRECISE)
    return fitted.summary["z"].iloc[0], fitted.summary["p"].iloc[0]


def check(x, time, event):
    z, p = cox_z_scores(x, time, event), cox_p_values(x, time, event)
    reference = np.array([lifelines(column, time, event) for column in x.T])
    scored = ~np.isnan(z)
    np.testing.assert_allclose(z[scored], reference[scored, 0], atol=1e-6)
    np.testing.assert_allclose(p[scored], reference[scored, 1], atol=1e-6)
    # Where the likelihood has no maximum lifelines stops at some large coefficient, p near 1.
    assert (reference[~scored, 1] > 0.99).all()
    assert scored.sum() >= 6


def simulated(seed: int, n: int = 120, n_genes: int = 6):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, n_genes)) * [1, 100, 1, 0.1, 1, 1] + [0, 0, 50, 0, 0, 0]
    time = random.exponential(np.exp(-x[:, 0] - (x[:, 2] - 50)))
    return x, time, random.random(n) < 0.6


@pytest.mark.parametrize("seed", [0, 1])
def test_p_values_are_those_of_lifelines(seed):
    check(*simulated(seed))


@pytest.mark.parametrize("decimals", [1, 0])
def test_ties_are_those_of_lifelines(decimals):
    x, time, event = simulated(2)
    tied = np.round(time, decimals)
    assert len(np.unique(tied)) < 60
    check(x, tied, event)


def test_patients_without_a_value_are_left_out_gene_by_gene():
    x, time, event = simulated(3)
    x[:10, 1] = np.nan
    x[50:, 4] = np.nan
    check(x, time, event)


def test_a_gene_fares_the_same_in_any_block():
    x, time, event = simulated(4)
    many = np.tile(x, 100)
    np.testing.assert_allclose(cox_z_scores(many, time, event)[-6:], cox_z_scores(x, time, event))


def test_genes_that_tell_nothing_have_no_score():
    x, time, event = simulated(5)
    x[:, 0] = 3.3
    x[:, 1] = np.nan
    # The one patient with another value is never at risk together with an event.
    x[:, 2] = 0
    x[np.argmin(time), 2] = 1
    event[np.argmin(time)] = False
    scores = cox_z_scores(x, time, event)
    assert list(np.isnan(scores)) == [True, True, True, False, False, False]
    assert np.isnan(cox_z_scores(x, time, np.zeros_like(event))).all()


def test_a_likelihood_without_maximum_has_no_score():
    time = np.arange(1.0, 41)
    assert np.isnan(cox_z_scores(-time[:, None], time, np.ones(40, dtype=bool))).all()


@pytest.mark.shared
def test_the_real_cohort_agrees_with_lifelines(tcga):
    values = read_genomic_table(tcga / "mrna_zscores.txt.gz", name="mRNA").values
    clinical = pd.read_csv(tcga / "clinical.csv", index_col="PATIENT").loc[values.index]
    clinical = clinical.dropna(subset=["OS_MONTHS", "OS_STATUS"]).query("OS_MONTHS > 0")
    event = clinical["OS_STATUS"].str.startswith("1").to_numpy()
    x = values.loc[clinical.index].to_numpy(np.float64)[:, ::140]
    check(x, clinical["OS_MONTHS"].to_numpy(), event)
