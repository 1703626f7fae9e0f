"""Genomic blocks against what the experiment asks of them."""

from __future__ import annotations

import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from tests.experiment.small import experiment_file


def block(**selection):
    return {"mrna": {"selection": selection}}


def problems(folder, changes):
    with pytest.raises(InputError) as caught:
        load(read_experiment(experiment_file(folder, changes)))
    return caught.value.problems


def test_more_genes_than_the_table_has_are_told(cohort):
    (problem,) = problems(cohort.parent, {"genomics": block(n_genes=500)})
    assert problem.startswith("genomics.mrna: `n_genes: 500`, and ")
    assert "has 48 genes" in problem
    load(read_experiment(experiment_file(cohort.parent, {"genomics": block(n_genes=48)})))
    load(read_experiment(experiment_file(cohort.parent, {"genomics": block(n_genes=8192)})))


def test_a_turned_table_is_told(cohort):
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t").drop(columns="Entrez_Gene_Id")
    genes.columns = ["PATIENT", *(name.removesuffix("-01") for name in genes.columns[1:])]
    genes.to_csv(cohort / "turned.csv", index=False)
    turned = {"mrna": {"file": "cohort/turned.csv"}}
    (problem,) = problems(cohort.parent, {"genomics": turned})
    assert "the table is turned: its columns are patients (SIM-" in problem
