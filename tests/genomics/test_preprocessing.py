"""Fitted on training patients, applied to others, stored without pickle."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load, save
from sklearn.preprocessing import StandardScaler

from histodistill.errors import InputError
from histodistill.genomics import GenomicPreprocessor, SelectionSettings

ALL = SelectionSettings(method="all", n_genes=None)


def frame(rows, columns="ABC") -> pd.DataFrame:
    return pd.DataFrame(rows, [f"P{i}" for i in range(len(rows))], list(columns), dtype=np.float32)


TRAINING = frame([[1, 0, 5], [2, 0, np.nan], [3, 0, 6], [10, 0, 10]])


@pytest.mark.parametrize(("impute", "fill"), [("median", 6), ("mean", 7), ("zero", 0)])
def test_missing_values_are_filled_then_scaled_as_in_training(impute, fill):
    fitted = GenomicPreprocessor(selection=ALL, impute=impute, clip=None).fit(TRAINING)
    reference = StandardScaler().fit(TRAINING.fillna({"C": fill}).to_numpy(np.float64))
    new = frame([[np.nan, 1, np.nan], [4, 0, 8]])
    complete = new.fillna({"A": {"median": 2.5, "mean": 4, "zero": 0}[impute], "C": fill})
    result = fitted.transform(new)
    assert result.dtype == np.float32
    np.testing.assert_allclose(
        result, reference.transform(complete.to_numpy(np.float64)), rtol=1e-5, atol=1e-6
    )


def test_values_are_clipped_after_scaling():
    fitted = GenomicPreprocessor(selection=ALL, clip=1.5).fit(TRAINING)
    assert fitted.transform(frame([[1e6, -1e6, 6]]))[0, :2].tolist() == [1.5, -1.5]


def test_without_scaling_values_pass_through():
    fitted = GenomicPreprocessor(selection=ALL, scale="none", clip=None).fit(TRAINING)
    np.testing.assert_array_equal(fitted.transform(TRAINING.iloc[[0]]), TRAINING.iloc[[0]])


def test_genes_are_chosen_in_order_of_rank_and_found_by_name():
    settings = SelectionSettings(method="variance", n_genes=2, exclude=("Z",))
    fitted = GenomicPreprocessor(selection=settings, scale="none", clip=None).fit(TRAINING)
    assert fitted.genes_ == ["A", "C"]
    shuffled = frame([[9, 8, 7, 1]], "CXAB")
    np.testing.assert_array_equal(fitted.transform(shuffled), [[7, 9]])


def test_labels_and_survival_reach_the_selection():
    random = np.random.default_rng(0)
    values = frame(random.normal(size=(40, 3)))
    labels = pd.Series((values["B"] > 0).astype(int))
    survival = pd.DataFrame({"time": np.exp(-values["C"]) + random.random(40), "event": 1})
    by_label = GenomicPreprocessor(selection=SelectionSettings(method="univariate", n_genes=1))
    by_survival = GenomicPreprocessor(selection=SelectionSettings(method="cox", n_genes=1))
    assert by_label.fit(values, labels=labels).genes_ == ["B"]
    assert by_survival.fit(values, survival=survival).genes_ == ["C"]


def test_absent_genes_are_imputed_up_to_a_limit():
    genes = [f"G{i}" for i in range(10)]
    training = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 10)), columns=genes)
    fitted = GenomicPreprocessor(selection=ALL, block="mRNA").fit(training)
    two_absent = training.drop(columns=["G3", "G7"])
    assert fitted.missing_genes(two_absent) == ["G3", "G7"]
    result = fitted.transform(two_absent)
    expected = fitted.transform(training)
    expected[:, [3, 7]] = ((fitted.fill_ - fitted.centre_) / fitted.scale_)[[3, 7]]
    np.testing.assert_array_equal(result, expected)
    with pytest.raises(InputError) as caught:
        fitted.transform(two_absent.drop(columns="G9"))
    assert str(caught.value) == (
        "Block mRNA: 3 of the model's 10 genes are absent from the table, more than the 20% that "
        "may be imputed: G3, G7, G9. Check that genes are named by the same symbols."
    )


@pytest.mark.parametrize("impute", ["median", "mean", "zero"])
def test_stored_and_restored_it_does_exactly_the_same(impute):
    settings = SelectionSettings(method="list", n_genes=None, genes=("C", "A"), exclude=("Z",))
    fitted = GenomicPreprocessor(selection=settings, block="CNA", impute=impute, clip=4).fit(
        TRAINING
    )
    stored = json.loads(json.dumps(fitted.to_dict()))
    restored = GenomicPreprocessor.from_dict(stored, load(save(fitted.to_arrays())))
    new = frame([[np.nan, 1, np.nan], [4, 0, 8]])
    np.testing.assert_array_equal(restored.transform(new), fitted.transform(new))
    assert restored.to_dict() == fitted.to_dict()
    assert restored.selection == settings


def test_arrays_of_other_genes_are_refused():
    fitted = GenomicPreprocessor(selection=ALL, block="mRNA").fit(TRAINING)
    arrays = {**fitted.to_arrays(), "scale": np.ones(2, np.float32)}
    del arrays["fill"]
    with pytest.raises(InputError, match="Block mRNA: the stored arrays fill, scale do not hold"):
        GenomicPreprocessor.from_dict(fitted.to_dict(), arrays)


def test_identity_passes_the_named_genes_on():
    identity = GenomicPreprocessor.identity(["C", "A", "X", "Y", "B", "D"], block="mRNA")
    values = frame([[1, 2, 3, 4, np.nan]], "ABCDX")
    np.testing.assert_array_equal(identity.transform(values), [[3, 1, 0, 0, 2, 4]])
    restored = GenomicPreprocessor.from_dict(identity.to_dict(), identity.to_arrays())
    np.testing.assert_array_equal(restored.transform(values), [[3, 1, 0, 0, 2, 4]])


def test_problems_name_the_block():
    preprocessor = GenomicPreprocessor(
        selection=SelectionSettings(method="list", n_genes=None), block="mRNA"
    )
    with pytest.raises(InputError, match="Block mRNA: The selection 'list' needs the names"):
        preprocessor.fit(TRAINING)
    with pytest.raises(InputError, match="Block mRNA: there is no training patient"):
        preprocessor.fit(TRAINING.iloc[:0])
