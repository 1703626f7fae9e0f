"""Labels against the genes, hospitals and slides of the patients who have them."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from histodistill.errors import InputError
from histodistill.experiment import load, read_experiment
from histodistill.experiment.audit import audit
from histodistill.simulation import simulate_cohort
from tests.experiment.small import SETTINGS, experiment_file

POSITIVE = {"positive": 1.0, "negative": 0.0}


def audited(cohort):
    return audit(read_experiment(experiment_file(cohort.parent)))


def contradictions(cohort):
    return [note for note in audited(cohort).notes if "contradict each other" in note]


def with_gene(cohort, change, gene="ESR1"):
    """Give the cohort a gene that follows ER, and change it."""
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    values = clinical.set_index("PATIENT")["ER"].map(POSITIVE)
    rng = np.random.default_rng(0)
    values = change(values.fillna(0.5) * 3 + rng.normal(0, 0.7, len(values)))
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t")
    patients = [name.removesuffix("-01") for name in genes.columns[2:]]
    row = [gene, 2099, *values.reindex(patients).fillna(0).round(3)]
    genes.loc[len(genes)] = row
    genes.to_csv(cohort / "mrna_zscores.txt", sep="\t", index=False)


def test_a_gene_that_follows_its_receptor_is_not_told(cohort):
    with_gene(cohort, lambda values: values)
    assert contradictions(cohort) == []
    assert not [note for note in audited(cohort).notes if "tell" in note and "AUC" in note]


@pytest.mark.parametrize("gene", ["ESR1", "GATA3"])
def test_labels_that_slipped_by_a_row_are_told(cohort, gene):
    with_gene(cohort, lambda values: pd.Series(np.roll(values, 1), values.index), gene)
    (note,) = contradictions(cohort)
    assert note.startswith(f"ER and block mrna contradict each other: {gene} tells ER with AUC ")
    assert "rows that slipped" in note


def test_rows_that_slipped_in_half_of_the_table_are_told_with_their_place(cohort):
    def slipped(values):
        half = len(values) // 2
        changed = values.to_numpy().copy()
        changed[half:] = np.roll(changed[half:], 1)
        return pd.Series(changed, values.index)

    shutil.rmtree(cohort)
    simulate_cohort(cohort, replace(SETTINGS, n_patients=160, positive_share=0.5))
    with_gene(cohort, slipped)
    told = contradictions(cohort)
    assert any("did rows slip from there on?" in note for note in told), told


def test_copies_of_a_gene_need_not_follow_its_receptor(cohort):
    with_gene(cohort, lambda values: pd.Series(np.roll(values, 1), values.index))
    (cohort / "mrna_zscores.txt").rename(cohort / "data_log2_cna.txt")
    settings = experiment_file(cohort.parent)
    text = settings.read_text().replace("mrna_zscores.txt", "data_log2_cna.txt")
    assert "data_log2_cna.txt" in text
    settings.write_text(text)
    notes = audit(read_experiment(settings)).notes
    assert not [note for note in notes if "contradict each other" in note]


def test_signs_turned_round_are_told(cohort):
    with_gene(cohort, lambda values: -values)
    (note,) = contradictions(cohort)
    assert "are classes or signs turned round?" in note


def test_the_label_among_the_genes_is_refused(cohort):
    with_gene(cohort, lambda values: (values > 1.5).astype(float), "ER_STATUS")
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    genes = pd.read_csv(cohort / "mrna_zscores.txt", sep="\t").set_index("Hugo_Symbol")
    row = genes.loc["ER_STATUS"].to_dict()
    told = {
        str(name).removesuffix("-01"): "positive" if value == 1 else "negative"
        for name, value in row.items()
    }
    words = clinical["PATIENT"].map(told)
    clinical["ER"] = words.where(clinical["ER"].notna())
    clinical.to_csv(cohort / "clinical.csv", index=False)
    with pytest.raises(InputError, match="ER_STATUS has one value for each class of ER"):
        load(read_experiment(experiment_file(cohort.parent)))


def test_two_targets_with_the_same_labels_are_told(cohort):
    clinical = pd.read_csv(cohort / "clinical.csv", dtype=str)
    clinical.assign(PR=clinical["ER"]).to_csv(cohort / "clinical.csv", index=False)
    two = {
        name: {"classes": ["negative", "positive"], "positive": "positive"} for name in ("ER", "PR")
    }
    found = audit(read_experiment(experiment_file(cohort.parent, {"targets": two})))
    assert any("ER and PR are equal in all" in note for note in found.notes)
