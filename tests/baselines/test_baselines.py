"""Logistic regression and single genes."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from histodistill.baselines import (
    Baseline,
    LogisticBaseline,
    SingleGeneBaseline,
    gene_separation,
    named_gene_baselines,
)
from histodistill.errors import InputError
from histodistill.genomics import GenomicPreprocessor, SelectionSettings, read_genomic_table


def simulated(n: int = 90, d: int = 6, n_classes: int = 2, seed: int = 0):
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(n) % n_classes).astype(np.int64)
    x = random.normal(size=(n, d))
    x[:, 1] -= 2 * y
    x[:, 3] += y
    return x, y


NAMES = ["A", "B", "C", "D", "E", "F"]


@pytest.mark.parametrize(("n", "d"), [(90, 6), (40, 200)])
def test_logistic_is_the_penalised_regression_on_standardised_features(n, d):
    x, y = simulated(n, d)
    y[: n // 4] = 0
    ours = LogisticBaseline(inverse_penalty=0.01).fit(x, y).predict_proba(x)
    scaled = StandardScaler().fit_transform(x)
    reference = LogisticRegression(C=0.01, class_weight="balanced", tol=1e-8).fit(scaled, y)
    np.testing.assert_allclose(ours, reference.predict_proba(scaled), atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_logistic_learns_and_repeats_itself(n_classes):
    x, y = simulated(120, n_classes=n_classes)
    new, truth = simulated(120, n_classes=n_classes, seed=1)
    first = LogisticBaseline(n_classes=n_classes).fit(x, y).predict_proba(new)
    second = LogisticBaseline(n_classes=n_classes).fit(x, y).predict_proba(new)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    assert (first.argmax(axis=1) == truth).mean() > 0.6


def test_the_penalty_is_chosen_on_training_patients():
    x, y = simulated(60, 300)
    fitted = LogisticBaseline().fit(x, y)
    noise = LogisticBaseline(inverse_penalty=1.0).fit(x, y)
    new, truth = simulated(400, 300, seed=1)
    chosen = roc_auc_score(truth, fitted.predict_proba(new)[:, 1])
    assert chosen >= roc_auc_score(truth, noise.predict_proba(new)[:, 1])


@pytest.mark.parametrize("make", [LogisticBaseline, lambda **k: SingleGeneBaseline(NAMES, **k)])
def test_a_class_that_training_lacks_gets_probability_zero(make):
    x, y = simulated()
    y[y == 1] = 2
    model: Baseline = make(n_classes=3)
    probabilities = model.fit(x, y).predict_proba(x)
    assert probabilities.shape == (90, 3)
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_a_class_of_one_patient_is_fitted_without_inner_folds():
    x, y = simulated(30)
    y[:] = 0
    y[3] = 1
    assert LogisticBaseline().fit(x, y).predict_proba(x).shape == (30, 2)


@pytest.mark.parametrize("make", [LogisticBaseline, lambda **k: SingleGeneBaseline(NAMES, **k)])
def test_unusable_training_data_are_refused(make):
    x, y = simulated()
    holes = x.copy()
    holes[[2, 5], 0] = np.nan
    with pytest.raises(InputError, match="missing or infinite values in 2 patients; impute them"):
        make().fit(holes, y)
    with pytest.raises(InputError, match=r"values of shape \(90, 6\) for 89 labels"):
        make().fit(x, y[:-1])
    with pytest.raises(InputError, match=r"of 2 classes got the labels \[0, 1, 2\]"):
        make().fit(x, np.where(np.arange(90) == 0, 2, y))
    with pytest.raises(InputError, match="needs training patients of 2 classes or more"):
        make().fit(x, np.zeros_like(y))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_separation_is_the_mean_area_under_the_curve(n_classes):
    x, y = simulated(n_classes=n_classes)
    x = np.round(x, 1)  # ties
    expected = []
    for gene in x.T:
        areas = [roc_auc_score(y == label, gene) for label in range(n_classes)]
        expected.append(np.mean([max(area, 1 - area) for area in areas]))
    np.testing.assert_allclose(gene_separation(x, y), expected)


def test_the_best_gene_is_chosen_on_training_and_read_in_its_direction():
    x, y = simulated()
    fitted = SingleGeneBaseline(NAMES).fit(x, y)
    assert fitted.gene_ == "B"
    new, truth = simulated(seed=1)
    area = roc_auc_score(truth, fitted.predict_proba(new)[:, 1])
    assert area == pytest.approx(1 - roc_auc_score(truth, new[:, 1]))


def test_equally_good_genes_are_in_alphabetical_order():
    x, y = simulated()
    x[:, 4] = x[:, 1]
    assert SingleGeneBaseline(["Z", "Y", "X", "W", "V", "U"]).fit(x, y).gene_ == "V"


def test_named_genes_that_are_present():
    x, y = simulated()
    names = ["ERBB2", "B", "C", "ESR1", "E", "F"]
    models = named_gene_baselines(names)
    assert list(models) == ["ESR1", "ERBB2"]
    probabilities = models["ESR1"].fit(x, y).predict_proba(x)[:, 1]
    assert roc_auc_score(y, probabilities) == pytest.approx(roc_auc_score(y, x[:, 3]))


def test_single_gene_refusals():
    x, y = simulated()
    with pytest.raises(InputError, match="gene ESR1 is not among the genes"):
        SingleGeneBaseline(NAMES, gene="ESR1")
    with pytest.raises(InputError, match="got 6 columns for 2 genes"):
        SingleGeneBaseline(["A", "B"]).fit(x, y)


# --- The real cohort ----------------------------------------------------------------------------


def fold(tcga, target, values):
    """Training and test values and labels of fold 0 (validation patients train too)."""
    table = pd.read_csv(tcga / "folds" / target / "splits_0.csv")
    parts = {}
    for part in ("train", "val", "test"):
        rows = table[[part, f"{part}_label"]].dropna().set_axis(["patient", "label"], axis=1)
        parts[part] = rows[rows["patient"].isin(values.index)]
    training = pd.concat([parts["train"], parts["val"]])
    return [
        (values.loc[rows["patient"]], rows["label"].to_numpy(np.int64))
        for rows in (training, parts["test"])
    ]


@pytest.mark.shared
def test_genes_of_the_real_cohort(tcga):
    values = read_genomic_table(tcga / "mrna_zscores.txt.gz", name="mRNA").values
    (training, y), (test, truth) = fold(tcga, "ER", values)
    scaler = GenomicPreprocessor(selection=SelectionSettings(method="all", n_genes=None)).fit(
        training
    )
    logistic = LogisticBaseline().fit(scaler.transform(training), y)
    assert roc_auc_score(truth, logistic.predict_proba(scaler.transform(test))[:, 1]) > 0.85
    (training, y), (test, truth) = fold(tcga, "HER2", values)
    scaler = GenomicPreprocessor(selection=SelectionSettings(method="all", n_genes=None)).fit(
        training
    )
    single = SingleGeneBaseline(scaler.genes_).fit(scaler.transform(training), y)
    assert single.gene_ == "ERBB2"
    assert roc_auc_score(truth, single.predict_proba(scaler.transform(test))[:, 1]) > 0.85


@pytest.mark.shared
def test_mean_slide_features_of_the_real_cohort(tcga):
    means = {}
    slides = pd.read_csv(tcga / "slides.csv").drop_duplicates("PATIENT")
    for patient, name in slides.itertuples(index=False):
        with h5py.File(tcga / "features" / name) as file:
            means[patient] = file["features"][:100].astype(np.float32).mean(axis=0)
    (training, y), (test, truth) = fold(tcga, "ER", pd.DataFrame(means).T)
    fitted = LogisticBaseline().fit(training.to_numpy(), y)
    assert roc_auc_score(truth, fitted.predict_proba(test.to_numpy())[:, 1]) > 0.7
